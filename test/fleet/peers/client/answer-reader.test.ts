import fc from 'fast-check'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import t from 'tap'
import { AnswerReader } from '../../../../src/fleet/peers/client/answer-reader.js'
import { Member } from '../../../../src/fleet/peers/client/member.js'
import { PeerRefused, PeerUnreachable } from '../../../../src/fleet/peers/peer.js'
import {
  controlFrame,
  dataHeader,
  signFrame,
  type ControlKind,
} from '../../../../src/fleet/peers/protocol/frames.js'
import { Prover } from '../../../../src/fleet/peers/protocol/proof.js'
import { systemClock } from '../../../../src/limits/clock.js'
import { codec, fleetSecret, ToldError, unending } from '../../../support/fleet/peers.js'
import { sha256 } from '../../../support/sha256.js'

/** null: none. */
type Secret = string | null

const request = Buffer.alloc(32, 3)
const member = new Member({ name: 'b', url: 'http://127.0.0.1:1' }, 1, undefined)

const control = (kind: ControlKind, value: unknown, secret: Secret = fleetSecret): Buffer => {
  const json = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return controlFrame(kind, new Prover(secret ?? undefined).answer(request, kind, json), json)
}
const data = (text: string): Buffer => Buffer.concat([dataHeader(text.length), Buffer.from(text)])
const end = (text: string, secret: Secret = fleetSecret): Buffer =>
  control('end', { length: text.length, sha256: sha256(text), notes: { seen: 1 } }, secret)

function readerOf(pieces: Iterable<Buffer>, secret: Secret = fleetSecret): AnswerReader {
  const times = { clock: systemClock, connectMs: 1000, silenceMs: 3000 }
  const response = Readable.from(pieces) as unknown as IncomingMessage
  const prover = new Prover(secret ?? undefined)
  return new AnswerReader(response, { member, prover, request, codec, times, signal: unending() })
}

async function readAll(pieces: Iterable<Buffer>, secret: Secret = fleetSecret): Promise<string> {
  const reader = readerOf(pieces, secret)
  const { kind } = await reader.begin()
  if (kind !== 'head') return kind
  let text = ''
  for await (const bytes of reader.bytes()) text += bytes.toString()
  return text
}

const whole = (secret: Secret = fleetSecret): Buffer =>
  Buffer.concat([
    signFrame,
    control('head', { ageMs: 5 }, secret),
    data('first '),
    signFrame,
    data('second'),
    end('first second', secret),
  ])

t.test('an answer, its age and its notes', async (t) => {
  const reader = readerOf([whole()])
  t.strictSame(await reader.begin(), { kind: 'head', ageMs: 5 })
  t.throws(() => reader.notes, 'not before the end')
  const bytes: Buffer[] = []
  for await (const each of reader.bytes()) bytes.push(each)
  t.equal(Buffer.concat(bytes).toString(), 'first second')
  t.strictSame(reader.notes, { seen: 1 })
})

t.test('cut anywhere, or with any byte changed, no answer is whole', async (t) => {
  for (const secret of [fleetSecret, null]) {
    const stream = whole(secret)
    t.equal(await readAll([stream], secret), 'first second')
    for (let length = 0; length < stream.length; length++) {
      await t.rejects(readAll([stream.subarray(0, length)], secret), PeerUnreachable, `${length} bytes`)
    }
    await fc.assert(
      fc.asyncProperty(
        fc.nat(stream.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.integer({ min: 1, max: stream.length }),
        async (at, flip, size) => {
          const changed = Buffer.from(stream)
          changed[at]! ^= flip
          const pieces = Array.from({ length: Math.ceil(changed.length / size) }, (_, index) =>
            changed.subarray(index * size, (index + 1) * size),
          )
          const error: unknown = await readAll(pieces, secret).catch((error: unknown) => error)
          return error instanceof PeerUnreachable
        },
      ),
      { numRuns: 300 },
    )
  }
})

t.test('what is not in order is broken', async (t) => {
  const head = control('head', { ageMs: 0 })
  const cases: Record<string, Buffer[]> = {
    'bytes without a head': [data('x'), end('x')],
    'an end without a head': [end('')],
    'two heads': [head, head, end('')],
    'an age that is none': [control('head', { ageMs: 'old' }), end('')],
    'a negative age': [control('head', { ageMs: -1 }), end('')],
    'too few bytes': [head, data('x'), end('xy')],
    'too many bytes': [head, data('xy'), end('x')],
    'another length': [head, data('x'), control('end', { length: 2, sha256: sha256('x') })],
    'other bytes': [head, data('y'), end('x')],
    'bytes behind the end': [head, data('x'), Buffer.concat([end('x'), data('y')])],
    'a frame begun behind the end': [head, data('x'), Buffer.concat([end('x'), Buffer.from([1])])],
    'a second end': [head, data('x'), Buffer.concat([end('x'), end('x')])],
    'no JSON': [control('head', '{')],
    'JSON that is no object': [control('head', '[]')],
    'notes that are no object': [head, control('end', { length: 0, sha256: sha256(''), notes: ['a'] })],
    'an error without a code': [control('error', { message: 'm' })],
    'an error without a message': [control('error', { code: 'c' })],
    'a head of another secret': [control('head', { ageMs: 0 }, 'another secret of 16')],
    'unchanged, of another secret': [control('unchanged', { ageMs: 0 }, 'another secret of 16')],
    'an end of another secret': [head, data('x'), end('x', 'another secret of 16')],
  }
  for (const [what, pieces] of Object.entries(cases)) {
    await t.rejects(readAll(pieces), PeerUnreachable, what)
  }
})

t.test('refusals and errors, at the beginning and among the bytes', async (t) => {
  const head = control('head', { ageMs: 0 })
  const error = control('error', { code: 'busy', message: 'm', details: { after: 1 } })
  for (const before of [[], [head, data('x')]]) {
    await t.rejects(readAll([...before, error]), new ToldError('busy', 'm', { after: 1 }))
    const refused = control('refused', { why: 'different', message: 'another' })
    await t.rejects(readAll([...before, refused]), new PeerRefused('different', 'another'))
  }
  const later = control('refused', { why: 'for a reason of a later version', message: 'm' })
  await t.rejects(readAll([later]), new PeerRefused('elsewhere', 'm'))
  t.equal(await readAll([control('unchanged', { ageMs: 0 })]), 'unchanged')
})
