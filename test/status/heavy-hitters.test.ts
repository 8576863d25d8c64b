import t from 'tap'
import fc from 'fast-check'
import { HeavyHitters, summedHitters } from '../../src/status/heavy-hitters.js'

const stream = fc.array(fc.tuple(fc.nat(30).map(String), fc.integer({ min: 1, max: 50 })), { maxLength: 300 })

function run(weights: readonly (readonly [string, number])[], capacity: number) {
  const sketch = new HeavyHitters(capacity)
  const sums = new Map<string, number>()
  for (const [key, weight] of weights) {
    sketch.add(key, weight)
    sums.set(key, (sums.get(key) ?? 0) + weight)
  }
  const total = [...sums.values()].reduce((sum, each) => sum + each, 0)
  return { sketch, sums, total }
}

t.test('a sum is never underestimated, and its error is bounded and told', async () => {
  fc.assert(
    fc.property(stream, fc.integer({ min: 1, max: 20 }), (weights, capacity) => {
      const { sketch, sums, total } = run(weights, capacity)
      const top = sketch.top(Infinity)
      if (top.length > capacity) return false
      return top.every(({ key, count, error }) => {
        const sum = sums.get(key) ?? 0
        return count >= sum && count - error <= sum && error <= total / capacity
      })
    }),
  )
})

t.test('every key with more than total ÷ capacity is there, and the largest come first', async () => {
  fc.assert(
    fc.property(stream, fc.integer({ min: 1, max: 20 }), (weights, capacity) => {
      const { sketch, sums, total } = run(weights, capacity)
      const top = sketch.top(Infinity)
      const keys = new Set(top.map(({ key }) => key))
      const isSorted = top.every(({ count }, at) => at === 0 || count <= top[at - 1]!.count)
      return isSorted && [...sums].every(([key, sum]) => sum <= total / capacity || keys.has(key))
    }),
  )
})

t.test('while there are no more keys than places, sums are exact', async () => {
  fc.assert(
    fc.property(stream, (weights) => {
      const { sketch, sums } = run(weights, 31)
      return sketch.top(31).every(({ key, count, error }) => count === sums.get(key) && error === 0)
    }),
  )
})

t.test('sketches of several processes are added up', async (t) => {
  const [one, two] = [new HeavyHitters(3), new HeavyHitters(3)]
  one.add('a', 3)
  one.add('b')
  two.add('b', 5)
  const sums = summedHitters([one.top(3), two.top(3)], 1)
  t.same(sums, [{ key: 'b', count: 6, error: 0 }])
})
