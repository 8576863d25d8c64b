import t from 'tap'
import { Slabs, slabSize } from '../../../../src/git/protocol/listing/slabs.js'

const endOf = ({ byteOffset, length }: Buffer): number => byteOffset + length

t.test('pieces stand one after another, as many as were expected', async (t) => {
  const slabs = new Slabs(3)
  const pieces = [100, 80, 120].map((length) => slabs.take(length))
  for (const [index, piece] of pieces.entries()) {
    t.equal(piece.buffer, pieces[0]!.buffer)
    if (index > 0) t.equal(piece.byteOffset, endOf(pieces[index - 1]!))
  }
  t.equal(pieces[0]!.buffer.byteLength, 300, 'and no more memory is taken')
})

t.test('what is longer than expected has memory of its own', async (t) => {
  const slabs = new Slabs(1)
  t.equal(slabs.take(120).buffer.byteLength, 120)
  t.equal(slabs.take(30).buffer.byteLength, 30)
})

t.test('long texts take a slab after the other', async (t) => {
  const slabs = new Slabs(5)
  const pieces = Array.from({ length: 5 }, () => slabs.take(slabSize / 2))
  t.same(
    [...new Set(pieces.map(({ buffer }) => buffer))].map(({ byteLength }) => byteLength / slabSize),
    [1, 1, 0.5],
  )
})

t.test('pieces that are longer than blocks share slabs to the last one', async (t) => {
  const slabs = new Slabs(40)
  const pieces = Array.from({ length: 40 }, () => slabs.take(79_750))
  t.equal(new Set(pieces.map(({ buffer }) => buffer)).size, 4, 'thirteen in each')
})
