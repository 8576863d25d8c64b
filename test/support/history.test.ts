import t from 'tap'
import fc from 'fast-check'
import { violations, type Read, type Write } from './history.js'

const write = (value: string | undefined, start: number, end: number): Write => ({
  register: 'r',
  value,
  start,
  end,
})
const read = (value: string | undefined, start: number, end: number): Read => ({
  start,
  end,
  values: new Map([['r', value]]),
})
const writes = [write('a', 0, 0), write('b', 10, 20), write('c', 30, 40)]

t.test('possible histories are accepted', async (t) => {
  t.same(violations(writes, [read('a', 1, 2), read('b', 21, 22), read('c', 41, 42)]), [])
  t.same(violations(writes, [read('a', 12, 13)]), [], 'during a write the old value may be seen')
  t.same(violations(writes, [read('b', 12, 13)]), [], 'or the new one')
  t.same(
    violations(writes, [read('b', 12, 14), read('a', 13, 15)]),
    [],
    'by reads that overlap, in any order',
  )
  const other = { start: 21, end: 22, values: new Map([['s', 'x']]) }
  t.same(violations(writes, [other]), [], 'a read says nothing of a register that it does not cover')
})

t.test('impossible reads are found', async (t) => {
  t.match(violations(writes, [read('a', 21, 22)]), [/stale: version 0, 1.0 ms after version 1/])
  t.match(violations(writes, [read('c', 21, 22)]), [/before it was written/])
  t.match(violations(writes, [read('x', 21, 22)]), [/never written/])
  t.match(violations(writes, [read(undefined, 21, 22)]), [/never written/])
  t.match(violations(writes, [read('b', 12, 13), read('a', 14, 15)]), [/went back from version 1 to 0/])
  t.throws(() => violations([...writes, write('d', 39, 50)], []), /two writes at once/)
})

t.test('a repeated value counts as the version that fits', async (t) => {
  const flips = [write('a', 0, 0), write(undefined, 10, 20), write('a', 30, 40), write(undefined, 50, 60)]
  t.same(violations(flips, [read('a', 12, 13), read(undefined, 32, 33), read('a', 34, 35)]), [])
  t.same(violations(flips, [read('a', 11, 31), read(undefined, 32, 33)]), [], 'the older of two that fit')
  t.match(violations(flips, [read(undefined, 12, 13), read('a', 14, 15)]), [/back from version 1 to 0/])
  t.match(violations(flips, [read('a', 61, 62)]), [/stale: version 2/])
  t.match(violations(flips, [read('a', 21, 22)]), [/stale: version 0/], 'not the one to come')
})

t.test('with a bound, reads may be as old as that, and may go back', async (t) => {
  const bound = { maxAgeMs: 5 }
  t.same(violations(writes, [read('a', 24.9, 26)], 20, bound), [])
  t.match(violations(writes, [read('a', 25.1, 26)], 20, bound), [/stale: version 0, 0.1 ms after version 1/])
  t.same(violations(writes, [read('b', 21, 22), read('a', 23, 24)], 20, bound), [])
  t.match(violations(writes, [read('c', 21, 22)], 20, bound), [/before it was written/])
})

t.test('the number of violations is bounded', async (t) => {
  const stale = Array.from({ length: 50 }, (_, index) => read('a', 50 + index, 60 + index))
  const found = violations(writes, stale, 3)
  t.equal(found.length, 4)
  t.equal(found[3], 'and 47 more')
})

const value = fc.constantFrom('a', 'b', undefined)
/** Writes one after the other, some without a pause, the first of them long ago. */
const someWrites = fc
  .array(fc.record({ value, pause: fc.nat(2), length: fc.nat(4) }), { maxLength: 4 })
  .map((list) => {
    let time = 0
    const later = list.map(({ value, pause, length }) => write(value, (time += pause), (time += length)))
    return [write('a', -1, -1), ...later]
  })
const someReads = fc.array(
  fc.record({ value, start: fc.nat(12), length: fc.nat(4) }).map((one) => {
    return read(one.value, one.start, one.start + one.length)
  }),
  { maxLength: 5 },
)

t.test('the result is that of an exhaustive search', async (t) => {
  const results = { yes: 0, no: 0 }
  fc.assert(
    fc.property(someWrites, someReads, (writes, reads) => {
      const possible = hasOrder(writes, reads)
      results[possible ? 'yes' : 'no']++
      return possible === (violations(writes, reads).length === 0)
    }),
    { numRuns: 3000 },
  )
  t.ok(results.yes > 100 && results.no > 100, `${results.yes} histories were possible, ${results.no} not`)
})

/**
 * Searches for an order of all operations that agrees with their times, in which each read sees the write before it.
 * A read that fits can come at once, since it changes nothing. So only the order of writes is searched.
 */
function hasOrder(writes: readonly Write[], reads: readonly Read[], current?: string): boolean {
  const earliestEnd = Math.min(...[...writes, ...reads].map(({ end }) => end))
  const [write, ...later] = writes
  if (write && write.start <= earliestEnd && hasOrder(later, reads, write.value)) return true
  const seen = reads.findIndex((read) => read.start <= earliestEnd && read.values.get('r') === current)
  if (seen >= 0) return hasOrder(writes, reads.toSpliced(seen, 1), current)
  return reads.length === 0 && writes.length === 0
}
