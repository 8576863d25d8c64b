import fc from 'fast-check'
import t from 'tap'
import {
  controlFrame,
  dataHeader,
  dataMax,
  FrameDecoder,
  jsonMax,
  MalformedFrame,
  signFrame,
  type ControlKind,
  type Frame,
} from '../../../../src/fleet/peers/protocol/frames.js'

type Plain = { readonly kind: string; readonly bytes: string }

const proof = Buffer.alloc(32, 7)
const controls = ['head', 'unchanged', 'end', 'refused', 'error', 'heard'] as const

const frames = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('data'), bytes: fc.string({ minLength: 1, maxLength: 40 }) }),
    fc.record({ kind: fc.constant('sign'), bytes: fc.constant('') }),
    fc.record({ kind: fc.constantFrom(...controls), bytes: fc.string({ maxLength: 40 }) }),
  ),
  { maxLength: 12 },
)

function encoded({ kind, bytes }: Plain): Buffer {
  const payload = Buffer.from(bytes)
  if (kind === 'sign') return signFrame
  if (kind === 'data') return Buffer.concat([dataHeader(payload.length), payload])
  return controlFrame(kind as ControlKind, proof, payload)
}

/** Parts of a data frame are put together as far as they follow one another. */
function decoded(pieces: readonly Buffer[], decoder = new FrameDecoder()): Plain[] {
  const found: Plain[] = []
  for (const frame of pieces.flatMap((piece): Frame[] => [...decoder.decode(piece)])) {
    const last = found.at(-1)
    if (frame.kind === 'sign') found.push({ kind: 'sign', bytes: '' })
    else if (frame.kind !== 'data') found.push({ kind: frame.kind, bytes: frame.json.toString('latin1') })
    else if (last?.kind === 'data')
      found.splice(-1, 1, { kind: 'data', bytes: last.bytes + frame.bytes.toString('latin1') })
    else found.push({ kind: 'data', bytes: frame.bytes.toString('latin1') })
  }
  return found
}

t.test('frames come out as they went in, in pieces of any size', async (t) => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 30 })), (list, sizes) => {
      const stream = Buffer.concat(list.map(encoded))
      const pieces: Buffer[] = []
      for (let at = 0, count = 0; at < stream.length; count++) {
        const size = sizes.length > 0 ? sizes[count % sizes.length]! : stream.length
        pieces.push(stream.subarray(at, (at += size)))
      }
      const decoder = new FrameDecoder()
      t.strictSame(decoded(pieces, decoder), decoded([stream]))
      return decoder.isBetweenFrames
    }),
  )
  const list = [
    { kind: 'head', bytes: '{}' },
    { kind: 'data', bytes: 'abc' },
    { kind: 'sign', bytes: '' },
  ]
  t.strictSame(decoded(list.map(encoded)), list)
})

t.test('in the middle of a frame, the stream is not between two', async (t) => {
  const frame = encoded({ kind: 'end', bytes: '{}' })
  for (let length = 1; length < frame.length; length++) {
    const decoder = new FrameDecoder()
    t.strictSame([...decoder.decode(frame.subarray(0, length))], [])
    t.notOk(decoder.isBetweenFrames, `${length} bytes`)
  }
})

t.test('what is not a frame is refused', async (t) => {
  const wrong: [string, number[]][] = [
    ['an unknown kind', [0, 0, 0, 0, 0]],
    ['another unknown kind', [9, 0, 0, 0, 0]],
    ['a sign of life with bytes', [2, 0, 0, 0, 1]],
    ['no bytes', [1, 0, 0, 0, 0]],
    ['too many bytes', [1, 0, 16, 0, 1]],
    ['an end that is shorter than a proof', [5, 0, 0, 0, 31]],
    ['an end that is too long', [5, 0, 1, 0, 33]],
  ]
  for (const [what, header] of wrong) {
    t.throws(() => [...new FrameDecoder().decode(Buffer.from(header))], MalformedFrame, what)
  }
  t.strictSame([...new FrameDecoder().decode(Buffer.from([1, 0, 16, 0, 0]))], [])
  t.throws(() => dataHeader(0), RangeError)
  t.throws(() => dataHeader(dataMax + 1), RangeError)
  t.throws(() => controlFrame('end', proof, Buffer.alloc(jsonMax + 1)), RangeError)
})
