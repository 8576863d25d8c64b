import t from 'tap'
import type { Test } from 'tap'
import fc from 'fast-check'
import { AgedTraffic, keyCount, Tally, type AgedFault, type AgedStep } from '../../support/aged-traffic.js'
import { openCache } from '../../support/stream-cache.js'

const key = fc.nat(keyCount - 1)
const read: fc.Arbitrary<AgedStep> = fc.record({
  do: fc.constant('read'),
  key,
  maxAgeMs: fc.constantFrom(0, 40, 200),
  staleMs: fc.constantFrom(0, 0, 100),
})
const write: fc.Arbitrary<AgedStep> = fc.record({
  do: fc.constant('write'),
  key,
  text: fc.constantFrom('a', 'b', 'cc', ''),
})
const steps = fc.oneof(
  { weight: 8, arbitrary: read },
  { weight: 3, arbitrary: write },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('pass'), ms: fc.constantFrom(5, 30, 60, 200) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('turn'), count: fc.nat(4) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('mood'),
      key,
      mood: fc.constantFrom('well', 'well', 'away', 'refuses', 'breaks'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compare'), key, compares: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('forget', 'leave'), key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('invalidate', 'lease', 'endChanged', 'endUnchanged', 'restart'),
    }),
  },
) as fc.Arbitrary<AgedStep>

/** Traffic to one key that is dense in what the faults concern. */
const dense = fc.oneof(
  fc.constant<AgedStep>({ do: 'read', key: 0, maxAgeMs: 200, staleMs: 0 }),
  fc.constant<AgedStep>({ do: 'pass', ms: 60 }),
  fc.record({ do: fc.constant('write'), key: fc.constant(0), text: fc.constantFrom('a', 'b') }),
  fc.record({ do: fc.constantFrom('invalidate', 'lease') }),
) as fc.Arbitrary<AgedStep>

/** Runs random traffic, each time to a cache of its own. */
async function check(
  t: Test,
  runs: number,
  fault?: AgedFault,
): Promise<{ report: string | undefined; error: unknown; tally: Tally }> {
  const tally = new Tally()
  const details = await fc.check(
    fc.asyncProperty(
      fc.array(fault ? dense : steps, { maxLength: 80, size: 'max' }),
      fc.infiniteStream(fc.constantFrom(0, 0, 1, 4, 15, 39)),
      async (steps, delays) => {
        const { cache } = await openCache(t)
        const traffic = new AgedTraffic(cache, delays, fault)
        for (const step of steps) await traffic.take(step)
        await traffic.finish()
        await cache.close()
        for (const [name, count] of traffic.tally) tally.set(name, (tally.get(name) ?? 0) + count)
      },
    ),
    { numRuns: runs, endOnFailure: fault !== undefined },
  )
  const report = details.failed ? `${details.errorInstance} ${fc.defaultReportMessage(details)}` : undefined
  return { report, error: details.errorInstance, tally }
}

t.test(
  'no answer is older than its bound, no question is unpaid, one runs per key, and nothing hangs',
  async (t) => {
    const { report, tally } = await check(t, 200)
    t.equal(report, undefined)
    // The traffic has covered all outcomes.
    const outcomes = ['hit', 'joined', 'filled', 'gathered', 'revalidated', 'stale', 'client', 'refresh']
    for (const outcome of [...outcomes, 'away', 'refused', 'broken', 'left']) {
      t.ok(tally.get(outcome), outcome)
    }
  },
)

t.test('the check detects a cache that violates the rules', async (t) => {
  for (const fault of ['ignores invalidations', 'ignores leases', 'forgets the arrival'] as const) {
    const { error } = await check(t, 500, fault)
    t.match(error, { message: /^stale/ }, fault)
  }
})
