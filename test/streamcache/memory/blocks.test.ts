import t from 'tap'
import fc from 'fast-check'
import { Blocks, blockSize } from '../../../src/streamcache/memory/blocks.js'
import { bytesOf } from '../../support/producers.js'

/** Returns everything from an offset on, read view by view. */
const rest = (blocks: Blocks, offset: number): Buffer => {
  const views: Buffer[] = []
  for (let at = offset; at < blocks.length;) {
    const view = blocks.from(at)
    if (!view) throw new Error(`no block at ${at}`)
    views.push(view)
    at += view.length
  }
  return Buffer.concat(views)
}

t.test('bytes come back from every offset, however they were appended', async (t) => {
  const sizes = fc.array(fc.oneof(fc.nat(20), fc.nat(3 * blockSize), fc.constant(blockSize)), {
    maxLength: 8,
  })
  await fc.assert(
    fc.asyncProperty(
      sizes,
      fc.array(fc.nat(), { maxLength: 5 }),
      fc.boolean(),
      async (sizes, picks, seal) => {
        const blocks = new Blocks()
        for (const size of sizes) blocks.append(bytesOf(1, blocks.length, size))
        const length = sizes.reduce((sum, size) => sum + size, 0)
        if (seal) blocks.seal()
        if (blocks.length !== length) throw new Error('length')
        // Sealed blocks use as much as they hold; growing ones use whole blocks.
        const room = seal ? length : Math.ceil(length / blockSize) * blockSize
        if (blocks.bytes !== room) throw new Error(`${blocks.bytes} bytes of memory for ${length}`)
        for (const offset of [0, length, ...picks.map((pick) => pick % (length + 1))]) {
          const expected = bytesOf(1, offset, length - offset)
          if (!rest(blocks, offset).equals(expected)) throw new Error(`from(${offset})`)
          if (!Buffer.concat(blocks.allFrom(offset)).equals(expected)) throw new Error(`allFrom(${offset})`)
        }
      },
    ),
    { numRuns: 50 },
  )
  t.pass()
})

t.test('a chunk is copied, so that its owner may reuse it', async (t) => {
  const blocks = new Blocks()
  const chunk = Buffer.from('first')
  blocks.append(chunk)
  chunk.write('XXXXX')
  t.equal(rest(blocks, 0).toString(), 'first')
})

t.test('only whole blocks before the offset are dropped', async (t) => {
  const blocks = new Blocks()
  blocks.append(bytesOf(1, 0, 2 * blockSize + 10))
  blocks.dropUntil(2 * blockSize - 1)
  t.equal(blocks.bytes, 2 * blockSize)
  t.equal(blocks.from(0), undefined)
  t.equal(blocks.from(blockSize - 1), undefined)
  t.ok(rest(blocks, blockSize).equals(bytesOf(1, blockSize, blockSize + 10)))
  t.throws(() => blocks.allFrom(0), /dropped from memory/)

  blocks.dropUntil(blocks.length)
  t.equal(blocks.bytes, 0)
  t.equal(blocks.length, 2 * blockSize + 10)
})

t.test('absent bytes have a length, and come back by fill()', async (t) => {
  const length = blockSize + 5
  const blocks = Blocks.absent(length)
  t.same([blocks.length, blocks.bytes, blocks.from(0)], [length, 0, undefined])
  blocks.seal()
  blocks.fill([bytesOf(2, 0, blockSize), bytesOf(2, blockSize, 5)])
  t.same([blocks.length, blocks.bytes], [length, length])
  t.ok(rest(blocks, 0).equals(bytesOf(2, 0, length)))
})
