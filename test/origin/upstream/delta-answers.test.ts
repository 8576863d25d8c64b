import t from 'tap'
import { gzipSync } from 'node:zlib'
import type { Entry } from '../../../src/streamcache/index.js'
import { encodeDelta } from '../../../src/origin/deltas/delta-format.js'
import { UpstreamRequests } from '../../../src/origin/upstream/upstream-requests.js'
import type { UpstreamRequest } from '../../../src/origin/upstream/client/upstream-client.js'
import type { UpstreamRepository } from '../../../src/origin/upstream/upstream.js'
import { digestOf } from '../../support/deltas.js'
import {
  openBody,
  packets,
  responseOf,
  resultType,
  type UpstreamAnswer,
} from '../../support/upstream-answers.js'

const id = (digit: string): string => digit.repeat(40)
const before = packets(`${id('1')} refs/heads/a\n`, `${id('1')} refs/heads/b\n`)
const after = packets(`${id('1')} refs/heads/a\n`, `${id('2')} refs/heads/b\n`)
const start = after.indexOf('2222')
const sha256 = digestOf(before)
const delta = encodeDelta({ baseLength: before.length, length: after.length }, [
  { start, end: start + 40, bytes: [Buffer.from(id('2'))] },
])

interface Kept {
  readonly readable?: boolean
}

/** What is kept, and its followers that are open. */
function keep({ readable = true }: Kept = {}) {
  const state = { open: new Set<object>() }
  const follow = () => {
    const open = {}
    state.open.add(open)
    return {
      close: () => state.open.delete(open),
      async *[Symbol.asyncIterator]() {
        yield before
      },
    }
  }
  const entry = { sha256, length: before.length, load: async () => readable, follow } as unknown as Entry
  return { state, entry }
}

const answerWith = (
  headers: Record<string, string> = {},
  body: UpstreamAnswer['body'] = delta,
): UpstreamAnswer => ({
  status: 226,
  headers: {
    ...{ 'Content-Type': resultType, IM: 'refstream-splice', 'Delta-Base': `"${sha256}"` },
    ...{ ETag: `"${digestOf(after)}"`, ...headers },
  },
  body,
})

/** Opens requests whose upstream answers so. */
function open(answer: UpstreamAnswer) {
  const sent: UpstreamRequest[] = []
  const ended: string[] = []
  const requests = new UpstreamRequests({ deltaEnded: (...what) => ended.push(what.join(' ')) })
  const repository: UpstreamRepository = {
    upstream: {
      ...{ name: 'h:80', url: 'http://h', service: undefined, followsRenames: true, isShared: false },
      client: {
        request: async (request) => {
          sent.push(request)
          return responseOf(answer)
        },
      },
    },
    ...{ name: 'r.git', path: '/r.git', subject: 'http://h/r', view: 'me', client: 'me', maxAgeMs: 0 },
    credentials: {},
  }
  const ask = async (kept: Entry | undefined, bytes?: readonly Buffer[]): Promise<Buffer> => {
    const { signal } = new AbortController()
    const question = { kept, signal, cause: 'client', bytesOfKept: () => bytes } as const
    const found = await requests.listing(repository, packets('command=ls-refs\n'), question)
    const chunks: Buffer[] = []
    if (found !== 'unchanged') for await (const chunk of found) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  return { ask, sent, ended }
}

t.test('a delta is asked for if something is kept, and is applied to it', async (t) => {
  const { ask, sent, ended } = open(answerWith())
  const { state, entry } = keep()
  t.same(await ask(entry), after)
  t.same(sent[0]!.headers['A-IM'], 'refstream-splice')
  t.equal(sent[0]!.headers['If-None-Match'], `"${sha256}"`)
  t.same(ended, [`h:80 applied ${after.length - delta.length}`])
  t.equal(state.open.size, 0)
  t.same(await ask(keep({ readable: false }).entry, [before]), after, 'bytes in memory are not read again')
})

t.test('without anything that is kept none is asked for, and a whole answer is none', async (t) => {
  const whole = { headers: { 'Content-Type': resultType }, body: after }
  const { ask, sent, ended } = open(whole)
  t.same(await ask(undefined), after)
  t.same(await ask({} as unknown as Entry), after, 'the digest is not known')
  t.ok(sent.every(({ headers }) => !('A-IM' in headers)))
  t.same(await ask(keep().entry), after, 'an upstream that does not know deltas')
  t.same(ended, [])
  await t.rejects(open(answerWith()).ask(undefined), { name: 'UpstreamUnavailable', message: /answered 226/ })
})

const refused: Record<string, UpstreamAnswer> = {
  'to other bytes': answerWith({ 'Delta-Base': `"${digestOf(after)}"` }),
  'in an unknown form': answerWith({ IM: 'vcdiff' }),
  'without a tag': answerWith({ ETag: '' }),
  'with another result': answerWith({ ETag: `"${sha256}"` }),
  'that is cut': answerWith({}, delta.subarray(0, -1)),
  'that is none': answerWith({}, 'hello'),
  // Members of gzip, which are valid, and make nothing.
  'that goes on for ever': answerWith(
    { 'Content-Encoding': 'gzip' },
    openBody(gzipSync(delta.subarray(0, 16)), Buffer.alloc(3_000_000, gzipSync(''))),
  ),
}
for (const [what, answer] of Object.entries(refused)) {
  t.test(`a delta ${what} fails, and none is asked for next time`, async (t) => {
    const { ask, sent, ended } = open(answer)
    const { state, entry } = keep()
    await t.rejects(ask(entry), { name: 'UpstreamUnavailable', message: /damaged delta/ })
    t.equal(state.open.size, 0)
    t.same(ended, ['h:80 damaged 0'])
    await ask(entry).catch(() => {})
    t.notOk('A-IM' in sent[1]!.headers)
    t.equal(sent[1]!.headers['If-None-Match'], `"${sha256}"`)
  })
}

t.test('what cannot be read any more has no delta', async (t) => {
  const body = openBody(delta)
  const { ask } = open(answerWith({}, body))
  const { state, entry } = keep({ readable: false })
  await t.rejects(ask(entry), /damaged delta.*cannot be read/)
  t.equal(state.open.size, 0)
  t.ok(body.destroyed)
})
