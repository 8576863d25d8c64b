import t from 'tap'
import fc from 'fast-check'
import { firstDifference } from '../../../../src/origin/disk/splices/first-difference.js'

/** Yields a text in pieces of these lengths, empty ones too, and the rest at the end. */
async function* inPieces(text: string, lengths: readonly number[]): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text, 'latin1')
  let at = 0
  for (const length of lengths) {
    yield bytes.subarray(at, at + length)
    at = Math.min(bytes.length, at + length)
  }
  if (at < bytes.length) yield bytes.subarray(at)
}

t.test('equal streams have no difference, however they are cut', async (t) => {
  const lengths = fc.array(fc.nat(5), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 30 }), lengths, lengths, async (text, a, b) => {
      t.equal(await firstDifference(inPieces(text, a), inPieces(text, b)), undefined)
    }),
    { numRuns: 200 },
  )
})

t.test('the first byte that differs is found, and shown with what is around it', async (t) => {
  const found = await firstDifference(
    inPieces('0010one\n0010two\n', [3, 6]),
    inPieces('0010one\n0010tre\n', [1]),
  )
  t.strictSame(found, { offset: 13, spliced: '010two', listed: '010tre' })
})

t.test('a stream that ends early differs where it ends', async (t) => {
  t.match(await firstDifference(inPieces('abc', []), inPieces('abcdef', [])), {
    offset: 3,
    spliced: '(its end)',
    listed: 'def',
  })
  t.match(await firstDifference(inPieces('abcdef', [2, 2]), inPieces('abc', [])), {
    offset: 3,
    listed: '(its end)',
  })
})

t.test('both streams are closed', async (t) => {
  const closed: string[] = []
  async function* endless(name: string): AsyncGenerator<Buffer> {
    try {
      for (;;) yield Buffer.from(name)
    } finally {
      closed.push(name)
    }
  }
  await firstDifference(endless('a'), endless('b'))
  t.strictSame(closed, ['a', 'b'])
})

t.test('an error of a stream is thrown', async (t) => {
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.from('a')
    throw new Error('broken')
  }
  await t.rejects(firstDifference(inPieces('ab', []), broken()), { message: 'broken' })
})
