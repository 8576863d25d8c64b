import t from 'tap'
import fc from 'fast-check'
import { ProcessLimiterModel, type Step } from '../../support/process-limiter-model.js'

const pick = fc.nat(50)
const processClass = fc.constantFrom('fill' as const, 'pack' as const, 'pass' as const)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('acquire'),
      class: processClass,
      // One group is hot.
      group: fc.constantFrom('hot', 'hot', 'hot', 'a', 'b', 'c', 'd'),
      admitted: fc.nat(3).map((chance) => chance === 0),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('release'), pick, times: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort'), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass'), ms: fc.integer({ min: 1, max: 60 }) }) },
)
const resize = fc.record({ do: fc.constant('resize' as const), limit: fc.integer({ min: 3, max: 13 }) })
const limits = fc.record({
  perGroup: fc.integer({ min: 1, max: 4 }),
  queueMax: fc.integer({ min: 0, max: 8 }),
  waitMs: fc.integer({ min: 20, max: 100 }),
})
const options = fc.record({
  limit: fc.integer({ min: 3, max: 13 }),
  fill: limits,
  pack: limits.map(({ perGroup: most, ...rest }) => ({ ...rest, most })),
  pass: limits,
})

async function hold(step: fc.Arbitrary<Step>, numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(options, fc.array(step, { maxLength: 120, size: 'max' }), async (options, steps) => {
      const model = new ProcessLimiterModel(options)
      for (const step of steps) await model.take(step)
      await model.finish()
    }),
    { numRuns },
  )
}

t.test('every rule holds after every step of every schedule', async (t) => {
  await hold(step, 300)
  t.pass()
})

t.test('every rule holds while the limit changes', async (t) => {
  await hold(fc.oneof({ weight: 15, arbitrary: step }, { weight: 1, arbitrary: resize }), 200)
  t.pass()
})
