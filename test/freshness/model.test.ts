import t from 'tap'
import type { Test } from 'tap'
import fc from 'fast-check'
import { FreshCache } from '../../src/freshness/fresh-cache.js'
import type { StreamCache } from '../../src/streamcache/index.js'
import { Register, type Fault, type Step } from '../support/register.js'
import { openCache } from '../support/stream-cache.js'

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ do: 'ask' as const }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('turn' as const), count: fc.nat(8) }) },
  { weight: 3, arbitrary: fc.constant({ do: 'write' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('lease', 'release', 'touch', 'age') }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('failFill', 'failLook') }) },
)
const revert: fc.Arbitrary<Step> = fc.constant({ do: 'revert' })

interface Totals {
  readonly results: Map<string, number>
  readonly reuses: Map<string, number>
}

/** Runs random schedules, each on a key of its own in one cache. */
async function check(
  t: Test,
  options: {
    steps: fc.Arbitrary<Step>
    runs: number
    fault?: Fault
    breaks?: (cache: StreamCache) => void
  },
): Promise<{ report: string | undefined; error: unknown; totals: Totals }> {
  const totals: Totals = { results: new Map(), reuses: new Map() }
  const details = await fc.check(
    fc.asyncProperty(
      fc.array(options.steps, { maxLength: 60, size: 'max' }),
      fc.infiniteStream(fc.nat(4)),
      async (steps, delays) => {
        const { cache } = await openCache(t)
        options.breaks?.(cache)
        const register = new Register(new FreshCache(cache), delays, options.fault)
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

t.test('every answer was so between question and answer, with one fill at a time', async (t) => {
  const { report, totals } = await check(t, { steps: step, runs: 200 })
  t.equal(report, undefined)
  // The schedules have been everywhere.
  for (const result of ['committed', 'unshared', 'failed']) t.ok(totals.results.get(result), result)
  for (const reuse of ['hit', 'joined', 'filled', 'gathered']) t.ok(totals.reuses.get(reuse), reuse)
  t.equal(totals.results.get('loser'), undefined, 'no fill was made in vain')
})

t.test('the same with a state that goes back between fills', async (t) => {
  const { report } = await check(t, { steps: fc.oneof(step, step, revert), runs: 100 })
  t.equal(report, undefined)
})

t.test('the check notices a cache that breaks the rules', async (t) => {
  const noticed = async (t: Test, options: Parameters<typeof check>[1]): Promise<void> => {
    const { error } = await check(t, options)
    t.match(error, { message: /^stale/ })
  }
  await t.test('answers by looks that began before the question', (t) =>
    noticed(t, { steps: step, runs: 1000, fault: 'stale looks' }),
  )
  await t.test('reuse while a lease is open', (t) =>
    noticed(t, { steps: step, runs: 1000, fault: 'blind to leases' }),
  )
  await t.test('commits without a second look', (t) =>
    noticed(t, {
      steps: fc.oneof(step, step, revert),
      runs: 1000,
      breaks: (cache) => {
        const fill = cache.fill.bind(cache)
        cache.fill = (key, token, source) => fill(key, token, source, async () => true)
      },
    }),
  )
})
