import t from 'tap'
import fc from 'fast-check'
import { DecisionCache } from '../../src/access/decision-cache.js'

interface Opinion {
  readonly is: number
}

/** Makes decisions by an opinion that changes: taken when a decision is requested, returned when the test says so. */
function makeDecider() {
  const opinion = { is: 0, asked: 0 }
  const open: (() => void)[] = []
  const ask = (): Promise<Opinion> => {
    const { is } = opinion
    opinion.asked++
    return new Promise((resolve) => open.push(() => resolve({ is })))
  }
  const answer = async (): Promise<void> => {
    open.shift()?.()
    await new Promise(setImmediate)
  }
  return { opinion, open, ask, answer }
}

t.test('without a time limit, no decision is used that was begun before its request', async (t) => {
  const { opinion, open, ask, answer } = makeDecider()
  const decisions = new DecisionCache<Opinion>({ forMs: 0, max: 10 })
  const first = decisions.get(['q'], ask)
  opinion.is = 1
  const later = [decisions.get(['q'], ask), decisions.get(['q'], ask)]
  t.equal(opinion.asked, 1, 'one at a time')
  await answer()
  t.equal((await first).is, 0)
  opinion.is = 2
  const last = decisions.get(['q'], ask)
  t.equal(opinion.asked, 2, 'requests that came too late share one')
  await answer()
  t.same(await Promise.all(later), [{ is: 1 }, { is: 1 }])
  await answer()
  t.equal((await last).is, 2)
  t.equal(open.length, 0)
})

t.test('a failure is shared by waiting requests, and not cached', async (t) => {
  const decisions = new DecisionCache<Opinion>({ forMs: 0, max: 10 })
  let fail: (error: Error) => void = () => {}
  const first = decisions.get(['q'], () => new Promise((_, reject) => (fail = reject)))
  const second = decisions.get(['q'], async () => ({ is: 2 }))
  fail(new Error('broken'))
  await t.rejects(first, /broken/)
  t.equal((await second).is, 2)
  t.equal((await decisions.get(['q'], async () => ({ is: 3 }))).is, 3, 'nothing is left over')
})

t.test('within the time limit, decisions under way and cached ones are shared', async (t) => {
  const { opinion, ask, answer } = makeDecider()
  const decisions = new DecisionCache<Opinion>({ forMs: 3_600_000, max: 10 })
  const both = [decisions.get(['q'], ask), decisions.get(['q'], ask)]
  await answer()
  t.same(await Promise.all(both), [{ is: 0 }, { is: 0 }])
  opinion.is = 1
  t.equal((await decisions.get(['q'], ask)).is, 0)
  t.equal(opinion.asked, 1)
})

t.test('a time-independent decision is shared while it is under way', async (t) => {
  const { opinion, ask, answer } = makeDecider()
  const decisions = new DecisionCache<Opinion>({ forMs: 0, max: 10, timeIndependent: true })
  const both = [decisions.get(['q'], ask), decisions.get(['q'], ask)]
  await answer()
  await Promise.all(both)
  t.equal(opinion.asked, 1)
})

t.test(
  'in any order of events, no decision is older than its request, and one at most is under way',
  async () => {
    const step = fc.constantFrom('request', 'request', 'change', 'answer')
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { opinion, open, ask, answer } = makeDecider()
        const decisions = new DecisionCache<Opinion>({ forMs: 0, max: 10 })
        const requests: Promise<boolean>[] = []
        let sound = true
        for (const each of steps) {
          if (each === 'change') opinion.is++
          else if (each === 'answer') await answer()
          else {
            const { is } = opinion
            requests.push(decisions.get(['q'], ask).then((decision) => decision.is >= is))
          }
          sound &&= open.length <= 1
        }
        while (open.length > 0) await answer()
        return sound && (await Promise.all(requests)).every(Boolean)
      }),
    )
  },
)

t.test('after clear(), no decision is used that was begun before', async (t) => {
  const { opinion, ask, answer } = makeDecider()
  const decisions = new DecisionCache<Opinion>({ forMs: 60_000, max: 10, timeIndependent: true })
  const kept = decisions.get(['kept'], ask)
  await answer()
  const running = decisions.get(['running'], ask)
  opinion.is = 1
  decisions.clear()
  const later = [decisions.get(['kept'], ask), decisions.get(['running'], ask)]
  for (let count = 0; count < 3; count++) await answer()
  t.same([await kept, await running], [{ is: 0 }, { is: 0 }])
  t.same(await Promise.all(later), [{ is: 1 }, { is: 1 }])
  opinion.is = 2
  t.same(await decisions.get(['running'], ask), { is: 1 }, 'what was decided after it is kept')
})
