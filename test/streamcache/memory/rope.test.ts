import t from 'tap'
import fc from 'fast-check'
import { Rope } from '../../../src/streamcache/memory/rope.js'
import { sha256 } from '../../support/sha256.js'

const reading = (rope: Rope): Buffer[] => {
  const views: Buffer[] = []
  for (let at = 0; at < rope.length; at += views.at(-1)!.length) views.push(rope.from(at))
  return views
}

t.test('chunks that stand one after another in memory are read as one', async (t) => {
  const slab = Buffer.from('one two three')
  const [one, two, three] = [slab.subarray(0, 4), slab.subarray(4, 8), slab.subarray(8)]
  const apart = Buffer.from('TWO ')
  t.same(reading(new Rope([one, two, three])).map(String), ['one two three'])
  t.same(reading(new Rope([one, apart, three])).map(String), ['one ', 'TWO ', 'three'])
  t.same(reading(new Rope([two, one, three])).map(String), ['two ', 'one ', 'three'], 'in their order only')
  t.equal(new Rope([apart, one, two]).from(6).toString(), 'e two ', 'from the middle of one')
})

t.test('no view grows without limit', async (t) => {
  const size = 64 * 1024
  const slab = Buffer.alloc(40 * size)
  const chunks = Array.from({ length: 40 }, (_, index) => slab.subarray(index * size, (index + 1) * size))
  t.same(
    reading(new Rope(chunks)).map(({ length }) => length / size),
    [16, 16, 8],
  )
})

t.test('the views from any offset on are the bytes', async (t) => {
  const slab = Buffer.from(Array.from({ length: 60 }, (_, index) => index))
  const chunk = fc
    .tuple(fc.nat(59), fc.integer({ min: 1, max: 20 }))
    .map(([start, length]) => slab.subarray(start, start + length))
  fc.assert(
    fc.property(fc.array(chunk, { minLength: 1, maxLength: 12 }), fc.nat(), (chunks, seed) => {
      const bytes = Buffer.concat(chunks)
      const rope = new Rope(chunks)
      const offset = seed % rope.length
      const view = rope.from(offset)
      return view.length > 0 && view.equals(bytes.subarray(offset, offset + view.length))
    }),
  )
  const rope = new Rope([slab])
  for (const offset of [-1, 60, NaN]) t.throws(() => rope.from(offset), { message: /^no byte at/ })
  t.equal(await rope.digest(), sha256(slab))
})
