import t from 'tap'
import type { Test } from 'tap'
import fc from 'fast-check'
import { FreshCache } from '../../src/freshness/fresh-cache.js'
import { LinearizableRegister, type Fault, type Step } from '../support/linearizable-register.js'
import { turns } from '../support/producers.js'
import { openCache } from '../support/stream-cache.js'

const ask = fc.constant<Step>({ do: 'ask' })
const write = fc.constant<Step>({ do: 'write' })
const revert = fc.constant<Step>({ do: 'revert' })
const turn: fc.Arbitrary<Step> = fc.record({ do: fc.constant('turn'), count: fc.nat(8) })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: ask },
  { weight: 8, arbitrary: turn },
  { weight: 3, arbitrary: write },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('lease', 'release', 'touch', 'age') }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('failFill', 'failObservation') }) },
)

interface Totals {
  readonly results: Map<string, number>
  readonly reuses: Map<string, number>
}

/** Runs random schedules, each on a cache of its own. */
async function check(
  t: Test,
  options: {
    steps: fc.Arbitrary<Step>
    runs: number
    fault?: Fault
  },
): Promise<{ report: string | undefined; error: unknown; totals: Totals }> {
  const totals: Totals = { results: new Map(), reuses: new Map() }
  const details = await fc.check(
    fc.asyncProperty(
      fc.array(options.steps, { maxLength: 60, size: 'max' }),
      fc.infiniteStream(fc.nat(4)),
      async (steps, delays) => {
        const { cache } = await openCache(t)
        const register = new LinearizableRegister(new FreshCache(cache), delays, options.fault)
        for (const step of steps) await register.take(step)
        await register.finish()
        for (const kind of ['results', 'reuses'] as const) {
          for (const name of register[kind]) totals[kind].set(name, (totals[kind].get(name) ?? 0) + 1)
        }
      },
    ),
    { numRuns: options.runs, endOnFailure: true },
  )
  const report = details.failed ? (fc.defaultReportMessage(details) ?? 'no report') : undefined
  return { report, error: details.errorInstance, totals }
}

t.test('every answer was current between its request and its end, with one fill at a time', async (t) => {
  const { report, totals } = await check(t, { steps: step, runs: 200 })
  t.equal(report, undefined)
  // The schedules have covered all outcomes.
  for (const result of ['committed', 'unshared', 'failed']) t.ok(totals.results.get(result), result)
  for (const reuse of ['hit', 'joined', 'filled', 'gathered']) t.ok(totals.reuses.get(reuse), reuse)
  t.equal(totals.results.get('loser'), undefined, 'no fill was a loser')
})

t.test('every answer was current although the state goes back between fills', async (t) => {
  const { report } = await check(t, { steps: fc.oneof(step, step, revert), runs: 100 })
  t.equal(report, undefined)
})

t.test('the check detects a cache that violates the rules', async (t) => {
  const detected = async (t: Test, options: Parameters<typeof check>[1]): Promise<void> => {
    const { error } = await check(t, options)
    t.match(error, { message: /^stale/ })
  }
  await t.test('answers by observations that began before the request', (t) =>
    detected(t, { steps: step, runs: 1000, fault: 'stale observations' }),
  )
  await t.test('reuse while a lease is open', (t) =>
    detected(t, { steps: step, runs: 1000, fault: 'ignores leases' }),
  )
})

t.test(
  'the second observation is needed: without it, a state that comes back is answered with the bytes of another',
  async (t) => {
    for (const broken of [false, true]) {
      const { cache } = await openCache(t)
      if (broken) {
        const fill = cache.fill.bind(cache)
        cache.fill = (key, token, producer) => fill(key, token, producer, async () => true)
      }
      const register = new LinearizableRegister(new FreshCache(cache), always(10))
      await register.take({ do: 'ask' })
      // The write falls between the fill's start and its reading of the value, 20 turns later.
      while (register.filling === 0) await turns(1)
      await register.take({ do: 'write' })
      await register.calm()
      t.same(register.results, [broken ? 'committed' : 'unshared'])
      await register.take({ do: 'revert' })
      await register.take({ do: 'ask' })
      const finished = register.finish()
      await (broken ? t.rejects(finished, { message: /^stale/ }) : t.resolves(finished))
    }
  },
)

function* always(value: number): Generator<number> {
  for (;;) yield value
}
