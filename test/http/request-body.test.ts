import t from 'tap'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { FairShares, ShareHolding } from '../../src/limits/admission/shares.js'
import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import type { ProtocolVersion } from '../../src/git/protocol/version.js'
import { peekBody } from '../../src/http/request-body.js'

const delimiter = Buffer.from('0001')
const lsRefs = (...lines: string[]): Buffer =>
  Buffer.concat([
    ...[pktLine('command=ls-refs\n'), pktLine('object-format=sha1'), delimiter],
    ...[...lines.map((line) => pktLine(line)), flushPacket],
  ])
const command = lsRefs('peel\n', 'ref-prefix refs/heads/\n')
const oid = '1'.repeat(40)
const fetchOf = (...lines: string[]): Buffer =>
  Buffer.concat([
    ...[pktLine('command=fetch'), pktLine('agent=git/2'), pktLine('object-format=sha1'), delimiter],
    ...[...lines.map((line) => pktLine(line)), flushPacket],
  ])
const fetch = fetchOf(`want ${oid}\n`, 'done\n')
/** A request of protocol v0. */
const want = Buffer.concat([pktLine(`want ${oid} side-band-64k\n`), flushPacket, pktLine('done\n')])
const peekMax = 64 * 1024
const parsedMax = 1024 * 1024

interface Body {
  readonly encoding?: string
  /** Did all of the request come? */
  readonly complete?: boolean
  /** undefined: it is not for upload-pack. */
  readonly version?: ProtocolVersion | undefined
  /** Bytes of memory that there is. */
  readonly memoryBytes?: number
}

async function peek(chunks: readonly Buffer[], body: Body = {}) {
  const { encoding, complete = true, memoryBytes = 1 << 24 } = body
  const version = 'version' in body ? body.version : 2
  const shares = new FairShares(memoryBytes, Infinity)
  const request = Object.assign(Readable.from(chunks), {
    complete,
    headers: encoding === undefined ? {} : { 'content-encoding': encoding },
  }) as unknown as IncomingMessage
  const holding = new ShareHolding(shares, 'client')
  const peeked = await peekBody(request, version, holding)
  return { peeked, taken: shares.taken, rest: request }
}

t.test('a whole ls-refs command is parsed, plain or compressed', async (t) => {
  const { peeked } = await peek([command.subarray(0, 10), command.subarray(10)])
  t.match(peeked, { ended: true, beginning: command, asks: { lsRefs: { peel: true, objectFormat: 'sha1' } } })
  for (const encoding of ['gzip', 'x-gzip']) {
    const compressed = gzipSync(command)
    const { peeked, taken } = await peek([compressed], { encoding })
    t.match(peeked, { ended: true, beginning: compressed, asks: { lsRefs: { peel: true } } }, encoding)
    t.equal(taken, compressed.length + command.length, 'both forms take memory')
  }
})

t.test('what is neither ls-refs nor a fetch is for Git, as it was sent', async (t) => {
  const other = Buffer.concat([pktLine('command=object-info'), flushPacket])
  for (const [chunk, body] of [
    [other, {}],
    [gzipSync(other), { encoding: 'gzip' }],
    [command, { version: undefined }],
    [fetch, { version: undefined }],
    [command, { complete: false }],
    [fetch, { complete: false }],
    [command, { encoding: 'gzip' }],
    [gzipSync(command).subarray(0, -1), { encoding: 'gzip' }],
    [Buffer.alloc(0), {}],
  ] as const) {
    const { peeked } = await peek([chunk], body)
    t.same(peeked, { ended: true, beginning: chunk, asks: undefined })
  }
})

t.test('a whole fetch is parsed, plain or compressed', async (t) => {
  const plain = await peek([fetch.subarray(0, 30), fetch.subarray(30)])
  t.match(plain.peeked, { ended: true, beginning: fetch, asks: { fetch: { version: 2, body: fetch } } })
  const compressed = gzipSync(fetch)
  const { peeked, taken } = await peek([compressed], { encoding: 'gzip' })
  t.match(peeked, { ended: true, beginning: compressed, asks: { fetch: { version: 2, body: fetch } } })
  t.equal(taken, compressed.length + fetch.length, 'both forms take memory')
  for (const version of [0, 1] as const) {
    t.match((await peek([want], { version })).peeked, { asks: { fetch: { version, body: want } } })
    t.match((await peek([gzipSync(want)], { version, encoding: 'gzip' })).peeked, {
      asks: { fetch: { version, body: want } },
    })
  }
})

t.test('a fetch that cannot be shared says why, and is for Git as it was sent', async (t) => {
  const unknown = Buffer.concat([pktLine('command=fetch'), pktLine('server-option=x'), flushPacket])
  for (const [chunk, body, unshared] of [
    [fetch.subarray(0, -2), {}, 'malformed'],
    [unknown, {}, 'arguments'],
    [gzipSync(unknown), { encoding: 'gzip' }, 'arguments'],
    [gzipSync(fetch).subarray(0, -1), { encoding: 'gzip' }, 'malformed'],
    [
      Buffer.concat([gzipSync(want).subarray(0, -4), Buffer.alloc(4)]),
      { version: 0, encoding: 'gzip' },
      'malformed',
    ],
    [Buffer.alloc(0), { version: 0 }, 'malformed'],
    [flushPacket, { version: 0 }, 'malformed'],
    [flushPacket, { version: 1, encoding: 'gzip' }, 'malformed'],
    [fetch, { version: 0 }, 'arguments'],
  ] as const) {
    const { peeked } = await peek([chunk], body)
    t.same(peeked, { ended: true, beginning: chunk, asks: { unshared } })
  }
})

t.test('a long body is read to its limit, ls-refs and fetch to a larger one', async (t) => {
  const chunk = Buffer.alloc(16 * 1024, 'x')
  const { peeked } = await peek(Array<Buffer>(10).fill(chunk))
  t.equal(peeked.ended, false)
  t.equal(peeked.beginning.length, peekMax + chunk.length)
  const prefixes = Array.from({ length: 5000 }, (_, index) => `ref-prefix refs/heads/branch-${index}\n`)
  const long = lsRefs(...prefixes)
  t.ok(long.length > 2 * peekMax)
  const pieces = [long.subarray(0, peekMax + 1), long.subarray(peekMax + 1)]
  t.match((await peek(pieces)).peeked, { ended: true, asks: { lsRefs: { objectFormat: 'sha1' } } })
  t.equal((await peek(pieces, { version: undefined })).peeked.ended, false)
  const haves = fetchOf(`want ${oid}\n`, ...Array<string>(5000).fill(`have ${oid}\n`))
  const compressed = gzipSync(haves, { level: 0 })
  for (const [whole, body] of [
    [haves, {}],
    [compressed, { encoding: 'gzip' }],
  ] as const) {
    const halves = [whole.subarray(0, 2 * peekMax), whole.subarray(2 * peekMax)]
    t.match((await peek(halves, body)).peeked, { ended: true, asks: { fetch: { body: haves } } })
    const { peeked } = await peek(halves, { ...body, version: undefined })
    t.same(peeked, { ended: false, beginning: halves[0], asks: undefined })
  }
})

t.test('a fetch is read and inflated up to a mebibyte', async (t) => {
  const padded = (bytes: number): Buffer => {
    const have = `have ${oid}\n`
    const rest = fetchOf(`want ${oid}`).length
    const count = Math.floor((bytes - rest) / (have.length + 4)) - 1
    const left = bytes - fetchOf(`want ${oid}`, ...Array<string>(count).fill(have)).length
    const haves = fetchOf(`want ${oid}`, ...Array<string>(count).fill(have))
    // An agent as long as what is missing.
    return Buffer.concat([
      pktLine('command=fetch'),
      pktLine(`agent=${'a'.repeat(left - 10)}`),
      haves.subarray(17),
    ])
  }
  for (const off of [-1, 0, 1]) {
    const body = padded(parsedMax + off)
    t.equal(body.length, parsedMax + off)
    const half = [body.subarray(0, parsedMax / 2), body.subarray(parsedMax / 2)]
    const whole = off <= 0
    const parsed = { ended: true, asks: { fetch: { body } } }
    t.match((await peek(half)).peeked, whole ? parsed : { ended: false, asks: { unshared: 'size' } })
    const compressed = await peek([gzipSync(body)], { encoding: 'gzip' })
    t.match(compressed.peeked, whole ? parsed : { ended: true, asks: { unshared: 'size' } })
  }
  const long = Array<Buffer>(70).fill(Buffer.alloc(16 * 1024, '0'))
  const { peeked } = await peek(long, { version: 0 })
  t.same(peeked.asks, { unshared: 'size' })
  t.equal(peeked.ended, false)
  t.equal(peeked.beginning.length, parsedMax + 16 * 1024)
  const unread = await peek([fetch.subarray(0, 50), fetch.subarray(50)], { memoryBytes: 60 })
  t.same(unread.peeked, { beginning: fetch, ended: false, asks: { unshared: 'size' } })
  t.equal(unread.taken, 50)
  const small = gzipSync(fetch)
  const uninflated = await peek([small], { encoding: 'gzip', memoryBytes: small.length + 10 })
  t.same(uninflated.peeked, { beginning: small, ended: true, asks: { unshared: 'size' } })
})
