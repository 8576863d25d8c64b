import t from 'tap'
import fc from 'fast-check'
import { editDistance, nearest } from '../../src/config/nearest.js'
import { options } from '../../src/config/options/options.js'

const names = options.map(({ name }) => name)

t.test('the most similar name is found', async (t) => {
  for (const [given, meant] of [
    ['lisen', 'listen'],
    ['lsiten', 'listen'],
    ['cache_dir', 'cache-dir'],
    ['cacheDir', 'cache-dir'],
    ['Cache-Dir', 'cache-dir'],
    ['CACHE_MAX_BYTE', 'cache-max-bytes'],
    ['rot', 'root'],
    ['port', undefined],
    ['x', undefined],
    ['', undefined],
    ['serve', undefined],
    ['z'.repeat(100_000), undefined],
  ] as const) {
    t.equal(nearest(given, names), meant, given.slice(0, 20))
  }
})

t.test('a name with one wrong letter is found', async (t) => {
  const letter = fc.constantFrom('a', 'e', 'k', 'q', 'z', '-')
  fc.assert(
    fc.property(
      fc.constantFrom(...names),
      fc.nat(),
      letter,
      fc.constantFrom(0, 1),
      (name, seed, put, cut) => {
        const at = seed % name.length
        const given = name.slice(0, at) + put + name.slice(at + cut)
        const found = nearest(given, names)
        t.ok(found !== undefined && editDistance(given, found) <= 1, `${given}: ${found}`)
      },
    ),
    { numRuns: 300 },
  )
})

t.test('the edit distance is symmetric, bounded, and zero only for equal words', async (t) => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 })
  fc.assert(
    fc.property(word, word, (one, other) => {
      const distance = editDistance(one, other)
      t.equal(distance, editDistance(other, one))
      t.equal(distance === 0, one === other)
      t.ok(distance <= Math.max(one.length, other.length))
      t.ok(distance >= Math.abs(one.length - other.length))
    }),
    { numRuns: 300 },
  )
  t.equal(editDistance('abcd', 'acbd'), 1)
  t.ok(editDistance('a', 'abcdef', 2) > 2)
})
