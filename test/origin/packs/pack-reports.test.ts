import t from 'tap'
import { PackReports } from '../../../src/origin/packs/pack-reports.js'
import type { Reading, Reuse } from '../../../src/freshness/fresh-cache.js'
import type { Entry } from '../../../src/streamcache/index.js'
import { Metrics } from '../../../src/telemetry/metrics.js'

function openReports() {
  const metrics = new Metrics()
  const reports = new PackReports(metrics)
  const text = (name: string): Promise<string[]> =>
    metrics.registry
      .getSingleMetricAsString(name)
      .then((lines) => lines.split('\n').filter((line) => !line.startsWith('#')))
  const cpu = async (): Promise<number[]> =>
    Promise.all(
      [metrics.packCpuSeconds, metrics.packCpuSparedSeconds].map(
        async (counter) => (await counter.get()).values[0]!.value,
      ),
    )
  return { reports, text, cpu }
}

const entry = (): Entry => ({}) as unknown as Entry
const reading = (of: Entry, reuse: Reuse): Reading => ({ entry: of, reuse }) as unknown as Reading

t.test('answers are counted by how they were made', async (t) => {
  const { reports, text } = openReports()
  for (const reuse of ['filled', 'joined', 'gathered', 'hit', 'hit', 'hit'] as const) {
    reports.answered(reading(entry(), reuse))
  }
  reports.refused()
  reports.passed('hook')
  reports.passed('size')
  t.same(await text('refstream_packs_total'), [
    'refstream_packs_total{result="hit"} 3',
    'refstream_packs_total{result="coalesced"} 2',
    'refstream_packs_total{result="filled"} 1',
    'refstream_packs_total{result="refused"} 1',
    'refstream_packs_total{result="passed"} 2',
  ])
  const passed = await text('refstream_packs_passed_total')
  t.same(
    passed.filter((line) => !line.endsWith(' 0')),
    ['refstream_packs_passed_total{reason="size"} 1', 'refstream_packs_passed_total{reason="hook"} 1'],
  )
})

t.test('each answer but the first spares what the run of Git has cost, known then or later', async (t) => {
  const { reports, cpu } = openReports()
  const shared = entry()
  reports.answered(reading(shared, 'filled'))
  reports.answered(reading(shared, 'joined'))
  reports.answered(reading(shared, 'joined'))
  t.same(await cpu(), [0, 0], 'its cost is not known yet')
  reports.spent(shared, 1.5)
  t.same(await cpu(), [1.5, 3])
  reports.answered(reading(shared, 'hit'))
  t.same(await cpu(), [1.5, 4.5])
})

t.test('entries do not mix, and one without a known cost spares nothing', async (t) => {
  const { reports, cpu } = openReports()
  const [one, other, unknown] = [entry(), entry(), entry()]
  reports.spent(one, 1)
  reports.spent(other, 10)
  for (const each of [one, other, unknown]) reports.answered(reading(each, 'hit'))
  t.same(await cpu(), [11, 11])
})
