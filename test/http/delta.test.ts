import t, { type Test } from 'tap'
import { acceptsDelta } from '../../src/http/delta.js'
import type { RefListing } from '../../src/git/protocol/ref-listing.js'
import type { RefQuery } from '../../src/git/protocol/ls-refs.js'
import { pktLine } from '../../src/git/protocol/pkt-line.js'
import { ropeOf } from '../../src/origin/listing-ropes.js'
import { SharedListing } from '../../src/origin/ref-listings.js'
import { Rope, type Entry } from '../../src/streamcache/index.js'
import { counted } from '../support/counted.js'
import { applied } from '../support/deltas.js'
import { openServer } from '../support/fake-origin-server.js'
import { ask, infoRefs } from '../support/http-client.js'
import { everything, answerTo, manyRefs, sharedListing } from '../support/listings.js'
import { sha256 } from '../support/sha256.js'

const refs = manyRefs(2000)
const bytes = answerTo(refs, everything)
const heads: RefQuery = { ...everything, prefixes: ['refs/heads/'] }

/** Versions of one listing, as entries with this key. */
async function versions(key = 'listing'): Promise<{ before: SharedListing; after: SharedListing }> {
  const first = (await sharedListing(bytes)).whole!
  const { name } = refs[1000]!
  const line = Buffer.concat([pktLine(`${'5'.repeat(40)} ${name}\n`), Buffer.from('0000')])
  return { before: await shared(first, key), after: await shared(await first.splice([name], line), key) }
}

async function shared(listing: RefListing, key: string): Promise<SharedListing> {
  const rope = ropeOf(listing)
  const found = new SharedListing()
  const follow = async function* (): AsyncGenerator<Buffer> {
    yield* rope.chunks
  }
  await found.read({ key, rope, size: rope.length, digest: () => rope.digest(), follow } as unknown as Entry)
  return found
}

const bodyOf = ({ prefixes }: RefQuery): Buffer =>
  Buffer.concat([
    ...['command=ls-refs\n', 'object-format=sha1\n'].map((line) => pktLine(line)),
    Buffer.from('0001'),
    ...['peel\n', 'symrefs\n', 'unborn\n'].map((line) => pktLine(line)),
    ...prefixes.map((prefix) => pktLine(`ref-prefix ${prefix}\n`)),
    Buffer.from('0000'),
  ])

const tag = (body: Buffer): string => `"${sha256(body)}"`
const accepting = { 'A-IM': 'refstream-splice' }

async function open(t: Test, first: SharedListing) {
  const state = { listing: first }
  const listRefs = async () => ({ listing: state.listing, reuse: 'hit' as const })
  const { url, metrics } = await openServer(t, { origin: { listRefs } as never })
  const post = (query: RefQuery, headers: Record<string, string> = {}) =>
    ask(`${url}/r.git/git-upload-pack`, {
      method: 'POST',
      headers: {
        ...{ 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' },
        ...headers,
      },
      body: bodyOf(query),
    })
  return { state, metrics, post }
}

t.test('a refstream that holds an answer is told how the newest one differs', async (t) => {
  const { before, after } = await versions()
  const { state, metrics, post } = await open(t, before)
  for (const query of [everything, heads]) {
    state.listing = before
    const held = await post(query, { 'If-None-Match': '"none"' })
    t.match(held, { status: 200, headers: { etag: tag(held.body) } })
    state.listing = after
    const plain = await post(query)
    const answer = await post(query, {
      ...{ ...accepting, 'If-None-Match': tag(held.body), 'Accept-Encoding': 'gzip' },
    })
    t.match(answer, {
      status: 226,
      headers: {
        ...{ im: 'refstream-splice', 'delta-base': tag(held.body), etag: tag(plain.body) },
        ...{ 'cache-control': 'no-store', 'content-type': 'application/x-git-upload-pack-result' },
      },
    })
    t.ok(answer.body.length < 100, `${answer.body.length} bytes`)
    t.same(await applied(held.body, answer.body, sha256(plain.body)), plain.body)
    t.equal((await post(query, { ...accepting, 'If-None-Match': tag(plain.body) })).status, 412)
  }
  t.match(await counted(metrics.deltaAnswers), [{ labels: { kind: 'ls-refs' }, value: 2 }])
})

t.test('all else is answered as a whole', async (t) => {
  const { before, after } = await versions()
  const { state, post } = await open(t, before)
  const tagged = { 'If-None-Match': tag(bytes) }
  state.listing = after
  t.equal((await post(everything, { ...accepting, ...tagged })).status, 200, 'a tag that was not sent')
  state.listing = before
  await post(everything, { 'If-None-Match': '"none"' })
  state.listing = after
  t.equal((await post(everything, tagged)).status, 200, 'a refstream that does not know deltas')
  t.equal((await post(everything, accepting)).status, 200, 'no condition')
  t.equal((await post(everything, { 'A-IM': 'gzip', ...tagged })).status, 200)
  t.equal((await post(heads, { ...accepting, ...tagged })).status, 200, 'the tag of another question')
  const others = await versions('another repository')
  state.listing = others.after
  t.equal((await post(everything, { ...accepting, ...tagged })).status, 200, 'a tag of another repository')
  state.listing = await shared((await sharedListing(answerTo(manyRefs(20), everything))).whole!, 'listing')
  t.equal((await post(everything, { ...accepting, ...tagged })).status, 200, 'a delta would be too long')
  state.listing = after
  t.equal((await post(everything, { ...accepting, ...tagged })).status, 226)
})

t.test('advertisements that share their memory', async (t) => {
  const { before, after } = await versions()
  const service = Buffer.from('001e# service=git-upload-pack\n0000')
  const entryOf = (listing: SharedListing): Entry => {
    const rope = new Rope([service, ...listing.whole!.chunks])
    const size = rope.length
    const follow = () => {
      const chunks = [...rope.chunks]
      const follower = {
        ...{ size, offset: 0, close: () => {} },
        read: () => {
          const chunk = chunks.shift() ?? null
          follower.offset += chunk?.length ?? 0
          return chunk
        },
        async *[Symbol.asyncIterator]() {
          yield* rope.chunks
        },
      }
      return follower
    }
    const digest = () => rope.digest()
    return { key: 'v0', rope, size, length: size, digest, end: async () => {}, follow } as unknown as Entry
  }
  const state = { entry: entryOf(before) }
  const advertise = async () => ({ entry: state.entry, follower: state.entry.follow(), reuse: 'hit' })
  const { url } = await openServer(t, { origin: { advertise } as never })
  const get = (headers: Record<string, string> = {}, method = 'GET') =>
    ask(infoRefs(url, 'r.git'), { headers, method })
  const held = await get({ 'If-None-Match': '"none"' })
  state.entry = entryOf(after)
  const plain = await get()
  const named = { 'If-None-Match': tag(held.body) }
  const answer = await get({ ...accepting, ...named })
  t.match(answer, {
    status: 226,
    headers: { im: 'refstream-splice', 'delta-base': tag(held.body), etag: tag(plain.body) },
  })
  t.match(answer.headers, { 'cache-control': 'no-store' })
  t.same(await applied(held.body, answer.body, sha256(plain.body)), plain.body)
  t.equal((await get(named)).status, 200)
  t.equal((await get({ ...accepting, ...named }, 'HEAD')).status, 200)
  t.equal((await get({ ...accepting, 'If-None-Match': tag(plain.body) })).status, 304)
})

t.test('only a request that names the form of a delta accepts it', (t) => {
  const accepts = (value: string | undefined): boolean =>
    acceptsDelta({ headers: value === undefined ? {} : { 'a-im': value } })
  for (const value of ['refstream-splice', 'vcdiff, Refstream-Splice;q=0.5', 'refstream-splice ; q=1'])
    t.ok(accepts(value), value)
  for (const value of [undefined, '', 'vcdiff', 'refstream-splice;q=0', 'refstream-splice; q=0.0'])
    t.notOk(accepts(value), String(value))
  t.end()
})
