import t from 'tap'
import { RecentHitters } from '../../src/status/recent-hitters.js'

t.test('what is shown is of the last one to two periods', async (t) => {
  let now = 1000
  const hitters = new RecentHitters({ periodMs: 100, now: () => now })
  const keys = () => hitters.top(9).map(({ key, count }) => `${key} ${count}`)
  hitters.add('a')
  now += 100
  hitters.add('a')
  hitters.add('b', 5)
  t.same(keys(), ['b 5', 'a 2'])
  t.equal(hitters.spanMs, 100)
  now += 99
  t.equal(hitters.spanMs, 199)
  now += 1
  t.same(keys(), ['b 5', 'a 1'], 'the first period has gone')
  t.equal(hitters.spanMs, 100)
  now += 250
  t.same(keys(), [], 'after a long pause, nothing is of late')
  t.equal(hitters.spanMs, 0)
})

t.test('a name that is too long is cut', async (t) => {
  const hitters = new RecentHitters({ periodMs: 100 })
  hitters.add('x'.repeat(10_000))
  t.equal(hitters.top(1)[0]?.key.length, 512)
})
