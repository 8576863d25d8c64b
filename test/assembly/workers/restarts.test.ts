import t from 'tap'
import { Restarts } from '../../../src/assembly/workers/restarts.js'

t.test('a worker that ends often waits longer each time, and a healthy one does not', async (t) => {
  let now = 0
  let random = 0
  const clock = { now: () => now, after: () => () => {} }
  const restarts = new Restarts(clock, () => random)
  const waitsOf = (ends: number): number[] =>
    Array.from({ length: ends }, () => {
      restarts.started()
      now += 1000
      return restarts.ended()
    })
  t.same(waitsOf(4), [0, 100, 200, 400])
  random = 1
  t.same(waitsOf(6), [1600, 3200, 6400, 12_800, 25_600, 30_000])
  restarts.started()
  now += 60_000
  t.equal(restarts.ended(), 0)
})
