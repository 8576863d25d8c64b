import t from 'tap'
import { LingeringMap } from '../../src/limits/lingering-map.js'

t.test('an idle entry is forgotten when there are many, another one never', async (t) => {
  const map = new LingeringMap<number, { uses: number }>(({ uses }) => uses === 0)
  const busy = { uses: 1 }
  map.set(-1, busy)
  let most = 0
  for (let key = 0; key < 10_000; key++) {
    map.set(key, { uses: 0 })
    most = Math.max(most, map.size)
  }
  t.equal(map.get(-1), busy)
  t.ok(most <= 64, `${most} entries`)
})

t.test('it grows with what is not idle', async (t) => {
  const map = new LingeringMap<number, { uses: number }>(({ uses }) => uses === 0)
  const values = Array.from({ length: 1000 }, () => ({ uses: 1 }))
  values.forEach((value, key) => map.set(key, value))
  t.same(
    values.map((_, key) => map.get(key)),
    values,
  )
  for (const value of values) value.uses = 0
  for (let key = 1000; key < 4000; key++) map.set(key, { uses: 0 })
  t.ok(map.size <= 64, `${map.size} entries`)
})
