import t from 'tap'
import fc from 'fast-check'
import { ShareHolding, FairShares } from '../../../src/limits/admission/shares.js'

t.test('a single group has three quarters, the next one three quarters of what is left', async (t) => {
  const shares = new FairShares(1000, 3)
  const most = (group: string): number => {
    let count = 0
    while (shares.take(group) === undefined) count++
    return count
  }
  t.equal(most('a'), 750)
  t.equal(shares.take('a'), 'share')
  t.equal(most('b'), 188)
  t.equal(most('c'), 47)
  t.equal(shares.take(undefined), undefined, 'without a group all that is left may be taken')
  shares.give(undefined)
  for (let count = 0; count < 750; count++) shares.give('a')
  t.ok(most('d') > 500, 'what is given back is available to others')
})

t.test('the total is never exceeded, and a new group always finds something', async (t) => {
  const step = fc.record({
    group: fc.constantFrom('a', 'b', 'c', undefined),
    amount: fc.integer({ min: 1, max: 40 }),
    gives: fc.boolean(),
  })
  const property = fc.property(
    fc.array(step, { maxLength: 200 }),
    fc.integer({ min: 1, max: 4 }),
    (steps, factor) => {
      const shares = new FairShares(100, factor)
      const own = new Map<string | undefined, number>()
      for (const { group, amount, gives } of steps) {
        const has = own.get(group) ?? 0
        const left = 100 - shares.taken
        if (gives) {
          const back = Math.min(amount, has)
          if (back > 0) shares.give(group, back)
          own.set(group, has - back)
        } else {
          const refusal = shares.take(group, amount)
          const expected =
            amount > left
              ? 'full'
              : group !== undefined && has + amount > (left - amount + 1) * factor
                ? 'share'
                : undefined
          if (refusal !== expected) return false
          if (refusal === undefined) own.set(group, has + amount)
        }
        if (shares.taken !== [...own.values()].reduce((sum, each) => sum + each, 0)) return false
        // A new group can take something as long as anything is left.
        if (shares.taken < 100) {
          if (shares.take('new') !== undefined) return false
          shares.give('new')
        }
      }
      return true
    },
  )
  fc.assert(property, { numRuns: 300 })
  t.end()
})

t.test('a few places are guaranteed to each group', async (t) => {
  const shares = new FairShares(6, 3, 4)
  for (let count = 0; count < 4; count++) t.equal(shares.take('a'), undefined)
  t.equal(shares.take('a'), undefined, 'its share is more')
  t.equal(shares.take('a'), 'share')
  t.equal(shares.take('b'), undefined)
  t.equal(shares.take('c'), 'full')
})

t.test('a holding gives back all that it has taken, once', async (t) => {
  const shares = new FairShares(100, 3)
  const holding = new ShareHolding(shares, 'a')
  t.equal(holding.take(50), true)
  t.equal(holding.take(20), true)
  t.equal(holding.take(20), false)
  t.equal(shares.taken, 70)
  holding.release()
  holding.release()
  t.equal(shares.taken, 0)
})
