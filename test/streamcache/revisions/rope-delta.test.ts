import t from 'tap'
import fc from 'fast-check'
import { Rope } from '../../../src/streamcache/index.js'
import { deltaBetween } from '../../../src/streamcache/revisions/rope-delta.js'
import { mergeSmallChunks, spliceChunks } from '../../../src/streamcache/revisions/rope-splice.js'
import { bytesOfRope, changeLine, lineLength, listingRope } from '../../support/ropes.js'

const chunk = fc
  .array(fc.constantFrom(65, 66), { minLength: 1, maxLength: 6 })
  .map((bytes) => Buffer.from(bytes))

t.test('a delta of any two ropes leads from the one to the other', (t) => {
  fc.assert(
    fc.property(
      fc.array(chunk, { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat(4), { maxLength: 8 }),
      fc.array(fc.nat(4), { maxLength: 8 }),
      (chunks, before, after) => {
        const ropeOf = (indices: number[]): Rope =>
          new Rope(indices.map((index) => chunks[index % chunks.length]!))
        const [old, now] = [ropeOf(before), ropeOf(after)]
        const result = new Rope(spliceChunks(old.chunks, deltaBetween(old, now)))
        if (!bytesOfRope(result).equals(bytesOfRope(now))) throw new Error('other bytes')
        if (!Buffer.concat(mergeSmallChunks(result.chunks)).equals(bytesOfRope(now)))
          throw new Error('merged')
      },
    ),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('one changed line costs its own bytes, one that is new too', (t) => {
  const old = listingRope(5000)
  const now = changeLine(changeLine(old, 0, 'b'), 3000, 'c')
  const splices = deltaBetween(old, now)
  t.same(
    splices.map(({ start, end }) => [start, end]),
    [
      [4, 44],
      [3000 * lineLength + 4, 3000 * lineLength + 44],
    ],
  )
  const first = old.chunks[0]!
  const longer = new Rope([
    Buffer.concat([first.subarray(0, 138), Buffer.from('new'), first.subarray(138)]),
    ...old.chunks.slice(1),
  ])
  t.same(
    deltaBetween(old, longer).map(({ start, end, bytes }) => [start, end, Buffer.concat(bytes).toString()]),
    [[138, 138, 'new']],
  )
  const both = new Rope([Buffer.from(first).fill('x', 10, 20).fill('y', 500, 510), ...old.chunks.slice(1)])
  t.equal(deltaBetween(old, both).length, 2, 'two differences in one chunk')
  t.same(deltaBetween(old, new Rope(old.chunks)), [])
  t.end()
})

t.test('splices that do not fit are refused', (t) => {
  const chunks = [Buffer.from('abc'), Buffer.from('def')]
  const bytes = [Buffer.from('x')]
  t.throws(() => spliceChunks(chunks, [{ start: 0, end: 7, bytes }]), RangeError)
  t.throws(
    () =>
      spliceChunks(chunks, [
        { start: 3, end: 4, bytes },
        { start: 2, end: 5, bytes },
      ]),
    RangeError,
  )
  t.end()
})
