import t from 'tap'
import { ratesBetween, type Counted } from '../../src/status/rates.js'

const counted = (second: number, byOutcome: Record<string, number>, sentBytes = 0): Counted => ({
  at: new Date(second * 1000).toISOString(),
  requests: { byOutcome, sentBytes },
})

t.test('rates are what has happened between two looks', async (t) => {
  const rates = ratesBetween(
    counted(0, { hit: 10, filled: 1 }, 100),
    counted(2, { hit: 16, filled: 3, joined: 2 }, 300),
  )
  t.same(rates, { requests: 5, bytes: 100, hitRatio: 0.8 })
})

t.test('requests that were not answered count as requests, and not for the ratio', async (t) => {
  const rates = ratesBetween(counted(0, {}), counted(1, { shed: 4, not_found: 1 }))
  t.same(rates, { requests: 5, bytes: 0, hitRatio: undefined })
})

t.test('neither a counter that began again nor two looks at one time make nonsense', async (t) => {
  t.same(ratesBetween(counted(0, { hit: 10 }, 50), counted(1, { hit: 2 }, 5)), {
    ...{ requests: 0, bytes: 0, hitRatio: undefined },
  })
  t.equal(ratesBetween(counted(0, {}), counted(0, { hit: 2 })).requests, 0)
})
