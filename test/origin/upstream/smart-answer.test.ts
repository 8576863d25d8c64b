import t from 'tap'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { pktLine } from '../../../src/git/protocol/pkt-line.js'
import { decoded, discard, refusalOf, smartAnswer } from '../../../src/origin/upstream/smart-answer.js'
import {
  openBody,
  packets,
  responseOf,
  resultType,
  type UpstreamAnswer,
} from '../../support/upstream-answers.js'

const refs = packets('1234 refs/heads/main\n')

async function read(answer: UpstreamAnswer, check?: (chunk: Buffer) => void): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of await smartAnswer(responseOf(answer), check)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const closed = (body: Readable): Promise<unknown> =>
  new Promise((resolve) => (body.destroyed ? resolve(undefined) : body.once('close', resolve)))

const gzip = { 'Content-Encoding': 'gzip' }

t.test('an answer is passed on, inflated', async (t) => {
  t.same(await read({ body: refs }), refs)
  t.same(await read({ body: gzipSync(refs), headers: gzip }), refs)
  t.same(await read({ body: gzipSync(refs), headers: { 'Content-Encoding': 'x-gzip' } }), refs)
  t.same(await read({ body: refs, headers: { 'Content-Encoding': 'identity' } }), refs)
  const slow = Readable.from(Array.from(refs, (byte) => Buffer.of(byte)))
  t.same(await read({ body: slow }), refs, 'byte by byte')
})

const unusable: Readonly<Record<string, UpstreamAnswer>> = {
  'it does not end in a flush packet': { body: refs.subarray(0, -4) },
  'it ends within a packet': { body: refs.subarray(0, -6) },
  'it is empty': { body: '' },
  'it is no packets': { body: '<html></html>' },
  'it is no packets behind its beginning': { body: Buffer.concat([pktLine('a\n'), Buffer.from('zzzz')]) },
  'its coding was not asked for': { body: refs, headers: { 'Content-Encoding': 'br' } },
  'it is no gzip': { body: refs, headers: gzip },
  'its gzip is cut': { body: gzipSync(refs).subarray(0, -9), headers: gzip },
  'its error message is cut': { body: pktLine('ERR access denied').subarray(0, -3) },
  'its error message does not end': {
    body: openBody(...Array.from({ length: 3 }, () => 'fff0ERR ' + 'x'.repeat(65_512))),
  },
}
for (const [why, answer] of Object.entries(unusable)) {
  t.test(`the upstream is away, and its connection free, if ${why}`, async (t) => {
    const { body } = answer
    const source = body instanceof Readable ? body : openBody(body ?? '', 'zzzz')
    const whole =
      body instanceof Readable ? answer : { ...answer, body: Readable.from([Buffer.from(body ?? '')]) }
    await t.rejects(read(whole), { name: 'UpstreamUnavailable' })
    // The same, of an answer that would go on for ever.
    if (/no packets|coding|no gzip/.test(why)) {
      await t.rejects(read({ ...answer, body: source }), { name: 'UpstreamUnavailable' })
      await closed(source)
      t.ok(source.destroyed)
    }
  })
}

t.test('an error message at the beginning is a refusal, as it came', async (t) => {
  const body = pktLine('ERR access denied or repository not exported: /r.git')
  const answer = { body, headers: { 'Content-Type': resultType } }
  await t.rejects(read(answer), {
    ...{ name: 'UpstreamRefusal', status: 200, body },
    headers: ['Content-Type', resultType],
  })
})

t.test(
  'an answer that never ends is cut, however little is sent of it, and its connection is free',
  async (t) => {
    const max = 1024 * 1024
    const line = pktLine(`1234 refs/heads/${'x'.repeat(1000)}\n`)
    const many = Buffer.concat(Array.from({ length: 2000 }, () => line))
    t.ok(gzipSync(many).length < max / 50)
    for (const [body, headers] of [
      [many, {}],
      [gzipSync(many), gzip],
    ] as const) {
      const endless = openBody(body)
      let length = 0
      const read = async (): Promise<void> => {
        for await (const chunk of await smartAnswer(responseOf({ body: endless, headers }), undefined, max))
          length += chunk.length
      }
      await t.rejects(read(), { name: 'UpstreamUnavailable', message: /of more than 1048576 bytes/ })
      t.ok(length <= max)
      await closed(endless)
    }
  },
)

t.test('gzip that goes on for ever and makes nothing is cut, and its connection is free', async (t) => {
  // An empty member of gzip after the other (RFC 1952, section 2.2).
  const empty = Buffer.concat(Array.from({ length: 3000 }, () => gzipSync('')))
  const max = 50_000
  const body = openBody(empty)
  await t.rejects(smartAnswer(responseOf({ body, headers: gzip }), undefined, max), {
    ...{ name: 'UpstreamUnavailable', message: /of more than 50000 bytes/ },
  })
  await closed(body)
  const refusal = openBody(empty, empty, empty)
  await t.rejects(refusalOf(responseOf({ status: 404, body: refusal, headers: gzip })), /of more than/)
  await closed(refusal)
})

t.test('a body of no use is read to its end, or closed if it is long', async (t) => {
  const short = Readable.from([Buffer.alloc(1000)])
  discard(short)
  await once(short, 'end')
  const endless = openBody(...Array.from({ length: 100 }, () => Buffer.alloc(10_000)))
  discard(endless)
  await closed(endless)
  t.ok(endless.destroyed)
})

t.test('what a check finds ends the answer, and frees its connection', async (t) => {
  for (const failing of [1, 2]) {
    let count = 0
    const body = openBody(refs.subarray(0, 20), refs.subarray(20))
    const check = (): void => {
      if (++count === failing) throw new Error('not in order')
    }
    await t.rejects(read({ body }, check), { message: 'not in order' })
    t.ok(body.destroyed, `chunk ${failing}`)
  }
})

t.test('a reader that stops frees the connection', async (t) => {
  for (const headers of [{}, gzip]) {
    const plain = Buffer.concat([refs, refs])
    const body = openBody('Content-Encoding' in headers ? gzipSync(plain) : plain)
    for await (const chunk of await smartAnswer(responseOf({ body, headers }))) {
      t.ok(chunk.length > 0)
      break
    }
    await closed(body)
    t.ok(body.destroyed)
  }
})

t.test('the error of a body is thrown as it is', async (t) => {
  const error = new Error('reset')
  const body = openBody(refs.subarray(0, 20))
  const answer = await smartAnswer(responseOf({ body }))
  await t.rejects(async () => {
    for await (const chunk of answer) {
      t.ok(chunk)
      body.destroy(error)
    }
  }, error)
  const inflated = decoded(responseOf({ body: openBody(gzipSync(refs).subarray(0, 12)), headers: gzip }))
  inflated.destroy()
  await once(inflated, 'close')
})

t.test('a refusal has what its client needs, and no more', async (t) => {
  const challenges = ['Basic realm="a"', 'Bearer realm="b"']
  const answer = {
    ...{ status: 401, body: gzipSync('who are you?') },
    headers: {
      ...{ 'Content-Type': 'text/plain', 'WWW-Authenticate': challenges, 'Retry-After': '3' },
      ...{ 'Content-Encoding': 'gzip', 'Set-Cookie': 'a=b', 'Content-Length': '5', ETag: '"x"' },
    },
  }
  const refusal = await refusalOf(responseOf(answer))
  t.equal(refusal.status, 401)
  t.same(refusal.headers, [
    ...['Content-Type', 'text/plain', 'WWW-Authenticate', challenges[0]],
    ...['WWW-Authenticate', challenges[1], 'Retry-After', '3'],
  ])
  t.equal(refusal.body.toString(), 'who are you?')
})

t.test('of a long refusal, 64 KiB are passed on, and its connection is free', async (t) => {
  const body = openBody('x'.repeat(60_000), 'x'.repeat(60_000), 'x'.repeat(60_000))
  const refusal = await refusalOf(responseOf({ status: 404, body }))
  t.equal(refusal.body.length, 65_536)
  t.ok(body.destroyed)
})

for (const status of [204, 206, 301, 304]) {
  t.test(`status ${status} is no refusal that a client could understand`, async (t) => {
    const body = openBody('moved')
    await t.rejects(refusalOf(responseOf({ status, body, headers: { Location: 'https://elsewhere' } })), {
      ...{ name: 'UpstreamUnavailable', status },
    })
    t.ok(body.destroyed)
  })
}

t.test('a refusal whose body cannot be inflated is no refusal', async (t) => {
  const answer = responseOf({ status: 403, body: 'plain', headers: gzip })
  await t.rejects(refusalOf(answer), { name: 'UpstreamUnavailable', message: /not gzip/ })
})
