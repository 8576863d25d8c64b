import t from 'tap'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { FairShares, ShareHolding } from '../../src/limits/admission/shares.js'
import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import { peekBody } from '../../src/http/request-body.js'

const delimiter = Buffer.from('0001')
const lsRefs = (...lines: string[]): Buffer =>
  Buffer.concat([
    ...[pktLine('command=ls-refs\n'), pktLine('object-format=sha1'), delimiter],
    ...[...lines.map((line) => pktLine(line)), flushPacket],
  ])
const command = lsRefs('peel\n', 'ref-prefix refs/heads/\n')
const peekMax = 64 * 1024

interface Body {
  readonly encoding?: string
  /** Did all of the request come? */
  readonly complete?: boolean
  readonly isCandidate?: boolean
  /** Bytes of memory that there is. */
  readonly memoryBytes?: number
}

async function peek(chunks: readonly Buffer[], body: Body = {}) {
  const { encoding, complete = true, isCandidate = true, memoryBytes = 1 << 24 } = body
  const shares = new FairShares(memoryBytes, Infinity)
  const request = Object.assign(Readable.from(chunks), {
    complete,
    headers: encoding === undefined ? {} : { 'content-encoding': encoding },
  }) as unknown as IncomingMessage
  const holding = new ShareHolding(shares, 'client')
  const peeked = await peekBody(request, isCandidate, holding)
  return { peeked, taken: shares.taken, rest: request }
}

t.test('a whole ls-refs command is parsed, plain or compressed', async (t) => {
  const { peeked } = await peek([command.subarray(0, 10), command.subarray(10)])
  t.match(peeked, { ended: true, beginning: command, lsRefs: { peel: true, objectFormat: 'sha1' } })
  for (const encoding of ['gzip', 'x-gzip']) {
    const compressed = gzipSync(command)
    const { peeked, taken } = await peek([compressed], { encoding })
    t.match(peeked, { ended: true, beginning: compressed, lsRefs: { peel: true } }, encoding)
    t.equal(taken, compressed.length + command.length, 'both forms take memory')
  }
})

t.test('what is not an ls-refs command is for Git, as it was sent', async (t) => {
  const fetch = Buffer.concat([pktLine('command=fetch'), flushPacket])
  for (const [chunk, body] of [
    [fetch, {}],
    [gzipSync(fetch), { encoding: 'gzip' }],
    [command, { isCandidate: false }],
    [command, { complete: false }],
    [command, { encoding: 'gzip' }],
    [gzipSync(command).subarray(0, -1), { encoding: 'gzip' }],
    [Buffer.alloc(0), {}],
  ] as const) {
    const { peeked } = await peek([chunk], body)
    t.same(peeked, { ended: true, beginning: chunk, lsRefs: undefined })
  }
})

t.test('a long body is read to its limit, a long ls-refs command to a larger one', async (t) => {
  const chunk = Buffer.alloc(16 * 1024, 'x')
  const { peeked } = await peek(Array<Buffer>(10).fill(chunk))
  t.equal(peeked.ended, false)
  t.equal(peeked.beginning.length, peekMax + chunk.length)
  const prefixes = Array.from({ length: 5000 }, (_, index) => `ref-prefix refs/heads/branch-${index}\n`)
  const long = lsRefs(...prefixes)
  t.ok(long.length > 2 * peekMax)
  const pieces = [long.subarray(0, peekMax + 1), long.subarray(peekMax + 1)]
  t.match((await peek(pieces)).peeked, { ended: true, lsRefs: { objectFormat: 'sha1' } })
  t.equal((await peek(pieces, { isCandidate: false })).peeked.ended, false)
})

t.test('a body that there is no memory for is left to Git', async (t) => {
  const { peeked, taken } = await peek([command.subarray(0, 20), command.subarray(20)], { memoryBytes: 30 })
  t.same(peeked, { beginning: command, ended: false, lsRefs: undefined })
  t.equal(taken, 20)
  const compressed = gzipSync(command)
  const inflated = await peek([compressed], { encoding: 'gzip', memoryBytes: compressed.length + 10 })
  t.match(inflated.peeked, { ended: true, lsRefs: undefined })
})
