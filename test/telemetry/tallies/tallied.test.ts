import t from 'tap'
import { AggregatorRegistry, Counter, Histogram, Registry } from 'prom-client'
import { TalliedCounter } from '../../../src/telemetry/tallies/tallied-counter.js'
import { TalliedHistogram } from '../../../src/telemetry/tallies/tallied-histogram.js'

const common = { help: 'What it is.', labelNames: ['kind', 'outcome'] as const, aggregator: 'sum' as const }
const labels = [
  { kind: 'a', outcome: 'hit' },
  { kind: 'b "quoted"', outcome: 'filled' },
]
const buckets = [0.001, 0.01, 0.1]
/** On, below and above the bounds. */
const observed = [0.0005, 0.001, 0.002, 0.01, 0.05, 0.1, 7]

/** The same, counted by the library and here. */
function both(): { library: Registry; tallied: Registry } {
  const [library, tallied] = [new Registry(), new Registry()]
  const names = { counter: 'x_total', histogram: 'x_seconds' }
  const { labelNames, ...rest } = common
  const of = (name: string, registry: Registry) => ({
    ...{ ...rest, name, labelNames: [...labelNames], registers: [registry] },
  })
  const counters = [
    new Counter(of(names.counter, library)),
    new TalliedCounter<'kind' | 'outcome'>(of(names.counter, tallied)),
  ]
  const histograms = [
    new Histogram({ ...of(names.histogram, library), buckets }),
    new TalliedHistogram<'kind' | 'outcome'>({ ...of(names.histogram, tallied), buckets }),
  ]
  for (const each of labels) {
    for (const counter of counters) {
      counter.inc(each, 0)
      counter.inc(each)
      counter.inc(each, 2.5)
    }
    for (const histogram of histograms) for (const value of observed) histogram.observe(each, value)
  }
  return { library, tallied }
}

t.test('a scrape reads as that of the library', async (t) => {
  const { library, tallied } = both()
  t.equal(await tallied.metrics(), await library.metrics())
  t.match(await tallied.metrics(), 'x_total{kind="a",outcome="hit"} 3.5')
  t.match(await tallied.metrics(), 'x_seconds_bucket{le="+Inf",kind="a",outcome="hit"} 7')
})

t.test('sums over workers read as those of the library', async (t) => {
  const { library, tallied } = both()
  const summed = async (registry: Registry): Promise<string> => {
    const values = JSON.parse(JSON.stringify(await registry.getMetricsAsJSON())) as object[]
    return AggregatorRegistry.aggregate([values, values]).metrics()
  }
  t.equal(await summed(tallied), await summed(library))
  t.match(await summed(tallied), 'x_total{kind="a",outcome="hit"} 7')
})
