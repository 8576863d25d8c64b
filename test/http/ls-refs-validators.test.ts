import t, { type Test } from 'tap'
import { gunzipSync } from 'node:zlib'
import type { RefQuery } from '../../src/git/protocol/ls-refs.js'
import { pktLine } from '../../src/git/protocol/pkt-line.js'
import type { RefAnswer } from '../../src/origin/origin.js'
import { openServer } from '../support/fake-origin-server.js'
import { ask } from '../support/http-client.js'
import { answerTo, everything, manyRefs, sharedListing } from '../support/listings.js'
import { sha256 } from '../support/sha256.js'

const refs = manyRefs(1000)
const heads: RefQuery = { ...everything, prefixes: ['refs/heads/'] }
const few: RefQuery = { ...everything, prefixes: ['HEAD'] }

function bodyOf({ peel, symrefs, unborn, prefixes }: RefQuery): Buffer {
  const flags = { peel, symrefs, unborn }
  return Buffer.concat([
    ...['command=ls-refs\n', 'object-format=sha1\n'].map((line) => pktLine(line)),
    Buffer.from('0001'),
    ...Object.entries(flags).flatMap(([flag, isSet]) => (isSet ? [pktLine(`${flag}\n`)] : [])),
    ...prefixes.map((prefix) => pktLine(`ref-prefix ${prefix}\n`)),
    Buffer.from('0000'),
  ])
}

/** Opens a server with one listing. @returns what asks it */
async function open(t: Test, answer: Partial<RefAnswer> = {}, whole = true) {
  const listing = await sharedListing(answerTo(refs, everything), whole)
  const listRefs = async (): Promise<RefAnswer> => ({ listing, reuse: 'hit', ...answer })
  const { url } = await openServer(t, { origin: { listRefs } as never })
  return (query: RefQuery, headers: Record<string, string> = {}) =>
    ask(`${url}/r.git/git-upload-pack`, {
      method: 'POST',
      headers: {
        'Git-Protocol': 'version=2',
        'Content-Type': 'application/x-git-upload-pack-request',
        ...headers,
      },
      body: bodyOf(query),
    })
}

const names = (rawHeaders: readonly string[]): string[] => rawHeaders.filter((_, at) => at % 2 === 0)
const tagFor = (query: RefQuery): string => `"${sha256(answerTo(refs, query))}"`

t.test('a request without a condition has no validator, and no coding', async (t) => {
  const post = await open(t)
  const answer = await post(everything, { 'Accept-Encoding': 'gzip' })
  t.same(names(answer.rawHeaders), [
    ...['Expires', 'Pragma', 'Cache-Control', 'Content-Type', 'Content-Length', 'Date', 'Connection'],
  ])
  t.same(answer.body, answerTo(refs, everything))
})

t.test('a condition that does not hold is answered with the tag of the plain bytes', async (t) => {
  const post = await open(t)
  for (const query of [everything, heads, few]) {
    const answer = await post(query, { 'If-None-Match': '"x"' })
    t.match(answer, { status: 200, headers: { etag: tagFor(query) } })
    t.equal(answer.headers['content-type'], 'application/x-git-upload-pack-result')
    t.same(answer.body, answerTo(refs, query))
  }
})

t.test('a condition that holds is answered by 412 and the tag, without a body', async (t) => {
  const post = await open(t)
  for (const query of [everything, heads, few]) {
    for (const condition of [
      tagFor(query),
      tagFor(query).replace(/"$/, '-gzip"'),
      `"x", ${tagFor(query)}`,
      '*',
    ]) {
      const answer = await post(query, { 'If-None-Match': condition })
      t.match(answer, { status: 412, headers: { etag: tagFor(query), 'content-length': '0' } }, condition)
      t.match(answer.headers, { 'cache-control': /no-cache/ })
      t.equal(answer.body.length, 0)
    }
  }
  t.equal((await post(heads, { 'If-None-Match': tagFor(everything) })).status, 200)
})

t.test('a long answer to a request with a condition is compressed at once', async (t) => {
  const post = await open(t)
  for (const query of [everything, heads, heads]) {
    const answer = await post(query, { 'If-None-Match': '"x"', 'Accept-Encoding': 'gzip' })
    t.match(answer.headers, {
      ...{ etag: tagFor(query).replace(/"$/, '-gzip"'), 'content-encoding': 'gzip' },
      'content-length': String(answer.body.length),
    })
    t.same(gunzipSync(answer.body), answerTo(refs, query))
  }
  const short = await post(few, { 'If-None-Match': '"x"', 'Accept-Encoding': 'gzip' })
  t.match(short.headers, { etag: tagFor(few), 'content-encoding': undefined })
})

t.test('an answer that is not cut at once has no validator', async (t) => {
  const post = await open(t)
  const many = { ...heads, prefixes: Array.from({ length: 600 }, (_, at) => `refs/heads/b${at}x`) }
  for (const query of [{ ...everything, peel: false }, { ...everything, symrefs: false }, many]) {
    const answer = await post(query, { 'If-None-Match': '*' })
    t.match(answer, { status: 200, headers: { etag: undefined } })
    t.same(answer.body, answerTo(refs, query))
  }
})

t.test('a listing that is still read is waited for', async (t) => {
  const growing = await sharedListing(answerTo(refs, everything), false)
  let finish: (() => void) | undefined
  const ended = new Promise<void>((resolve) => (finish = resolve))
  const whole = await sharedListing(answerTo(refs, everything))
  growing.end = () => ended
  growing.cutNow = (query) => whole.cutNow(query)
  const post = await open(t, { listing: growing })
  const answered = post(heads, { 'If-None-Match': tagFor(heads) })
  const isFirst = await Promise.race([answered.then(() => false), post(few).then(() => true)])
  t.equal(isFirst, true)
  finish?.()
  t.equal((await answered).status, 412)
})

t.test('an answer that is older than allowed says so in every form, and no other does', async (t) => {
  const stale = await open(t, { isStale: true, ageMs: 90_500 })
  const aged = { age: '90', warning: '110 refstream "Response is Stale"' }
  for (const [query, headers] of [
    [everything, {}],
    [{ ...everything, peel: false }, {}],
    [everything, { 'If-None-Match': '"x"' }],
    [everything, { 'If-None-Match': '"x"', 'Accept-Encoding': 'gzip' }],
    [everything, { 'If-None-Match': '*' }],
  ] as const) {
    t.match((await stale(query, headers)).headers, aged)
  }
  const fresh = await open(t, { isStale: false, ageMs: 90_500 })
  t.match((await fresh(everything)).headers, { age: undefined, warning: undefined })
})
