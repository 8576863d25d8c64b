import t from 'tap'
import fc from 'fast-check'
import { DecisionCache } from '../../src/access/decision-cache.js'

interface Mind {
  readonly is: number
}

/** Somebody whose mind changes; each question is read at once and answered when the test says so. */
function makeMind() {
  const mind = { is: 0, asked: 0 }
  const open: (() => void)[] = []
  const ask = (): Promise<Mind> => {
    const { is } = mind
    mind.asked++
    return new Promise((resolve) => open.push(() => resolve({ is })))
  }
  const answer = async (): Promise<void> => {
    open.shift()?.()
    await new Promise(setImmediate)
  }
  return { mind, open, ask, answer }
}

t.test(
  'without a time to remember, no answer is used that was asked for before its request came',
  async (t) => {
    const { mind, open, ask, answer } = makeMind()
    const verdicts = new DecisionCache<Mind>({ forMs: 0, max: 10 })
    const first = verdicts.of(['q'], ask)
    mind.is = 1
    const later = [verdicts.of(['q'], ask), verdicts.of(['q'], ask)]
    t.equal(mind.asked, 1, 'one at a time')
    await answer()
    t.equal((await first).is, 0)
    mind.is = 2
    const last = verdicts.of(['q'], ask)
    t.equal(mind.asked, 2, 'those who came too late share one')
    await answer()
    t.same(await Promise.all(later), [{ is: 1 }, { is: 1 }])
    await answer()
    t.equal((await last).is, 2)
    t.equal(open.length, 0)
  },
)

t.test('a failure is that of those who wait, and the next are asked for all the same', async (t) => {
  const verdicts = new DecisionCache<Mind>({ forMs: 0, max: 10 })
  let fail: (error: Error) => void = () => {}
  const first = verdicts.of(['q'], () => new Promise((_, reject) => (fail = reject)))
  const second = verdicts.of(['q'], async () => ({ is: 2 }))
  fail(new Error('broken'))
  await t.rejects(first, /broken/)
  t.equal((await second).is, 2)
  t.equal((await verdicts.of(['q'], async () => ({ is: 3 }))).is, 3, 'nothing is left over')
})

t.test('with one, what is on its way is shared, and so is what is remembered', async (t) => {
  const { mind, ask, answer } = makeMind()
  const verdicts = new DecisionCache<Mind>({ forMs: 3_600_000, max: 10 })
  const both = [verdicts.of(['q'], ask), verdicts.of(['q'], ask)]
  await answer()
  t.same(await Promise.all(both), [{ is: 0 }, { is: 0 }])
  mind.is = 1
  t.equal((await verdicts.of(['q'], ask)).is, 0)
  t.equal(mind.asked, 1)
})

t.test('a verdict that follows from its question may always be shared while it is on its way', async (t) => {
  const { mind, ask, answer } = makeMind()
  const verdicts = new DecisionCache<Mind>({ forMs: 0, max: 10, timeless: true })
  const both = [verdicts.of(['q'], ask), verdicts.of(['q'], ask)]
  await answer()
  await Promise.all(both)
  t.equal(mind.asked, 1)
})

t.test('in whatever order all happens: never older than the request, never two on their way', async () => {
  const step = fc.constantFrom('request', 'request', 'change', 'answer')
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { mind, open, ask, answer } = makeMind()
      const verdicts = new DecisionCache<Mind>({ forMs: 0, max: 10 })
      const requests: Promise<boolean>[] = []
      let sound = true
      for (const each of steps) {
        if (each === 'change') mind.is++
        else if (each === 'answer') await answer()
        else {
          const { is } = mind
          requests.push(verdicts.of(['q'], ask).then((verdict) => verdict.is >= is))
        }
        sound &&= open.length <= 1
      }
      while (open.length > 0) await answer()
      return sound && (await Promise.all(requests)).every(Boolean)
    }),
  )
})
