import t from 'tap'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { Metrics } from '../../src/telemetry/metrics.js'
import { metricSubjects } from '../../src/telemetry/metrics/catalog.js'
import type { MetricDefinition } from '../../src/telemetry/metrics/definition.js'

function everyMetric(): Metrics {
  const metrics = new Metrics()
  const zero = (): number => 0
  metrics.watch({
    ready: () => 1,
    storeLimitBytes: () => 9,
    packStoreLimitBytes: () => 10,
    followers: zero,
    storeBytes: zero,
    storeFull: zero,
    storeEntries: zero,
    hotBytes: zero,
    packStoreBytes: () => 11,
    packStoreEntries: () => 12,
    packHotBytes: () => 13,
    listingBytes: zero,
    processesRunning: zero,
    helpers: () => ({ running: 2, stuck: 1 }),
    leasesOpen: zero,
    requestsUnderWay: zero,
    rateLimitClients: zero,
    requestBodyBytes: zero,
    requestsPipelined: zero,
    requestsWaiting: zero,
    processLimit: () => 16,
    processClasses: () => [
      { class: 'fill', running: 3, waiting: 4 },
      { class: 'pack', running: 1, waiting: 2 },
      { class: 'pass', running: 5, waiting: 6 },
    ],
    repositories: () => [{ mode: 'observe', reason: 'local', count: 7 }],
    logLinesDropped: () => 8,
  })
  return metrics
}

t.test('docs/metrics.md has every metric, and no other', async (t) => {
  const defined = everyMetric()
    .registry.getMetricsAsArray()
    .map(({ name }) => name)
  const own = defined.filter((name) => name.startsWith('refstream_')).sort()
  const page = readFileSync('docs/metrics.md', 'utf8')
  const documented = [...page.matchAll(/^\| `(refstream_\w+)/gm)].map(([, name]) => name).sort()
  t.same(documented, own)
  t.notOk(
    defined.some((name) => name.startsWith('nodejs_active')),
    'none that walks through all connections',
  )
})

t.test('metrics that are read at a scrape', async (t) => {
  const { registry } = everyMetric()
  for (let scrape = 0; scrape < 2; scrape++) {
    const lines = (await registry.metrics()).split('\n')
    for (const line of [
      'refstream_process_limit 16',
      'refstream_process_permits_held{class="fill"} 3',
      'refstream_process_permits_held{class="pack"} 1',
      'refstream_process_permits_held{class="pass"} 5',
      'refstream_process_permits_waiting{class="fill"} 4',
      'refstream_process_permits_waiting{class="pack"} 2',
      'refstream_process_permits_waiting{class="pass"} 6',
      'refstream_observer_processes{state="running"} 2',
      'refstream_observer_processes{state="stuck"} 1',
      'refstream_repositories{mode="observe",reason="local"} 7',
      'refstream_log_lines_dropped_total 8',
      'refstream_pack_store_bytes 11',
      'refstream_pack_store_entries 12',
      'refstream_pack_hot_bytes 13',
      'refstream_leases_ended_total{end="expired"} 0',
      'refstream_observations_total{result="timeout"} 0',
      'refstream_splice_audits_total{kind="listing",verdict="different"} 0',
      'refstream_ready 1',
      'refstream_store_limit_bytes 9',
    ]) {
      t.ok(lines.includes(line), line)
    }
    t.notOk(lines.some((line) => line.startsWith('refstream_tls_certificate_expiry')))
  }
})

t.test('names and texts follow the conventions of Prometheus', async (t) => {
  for (const definition of Object.values(metricSubjects).flatMap((each) => Object.values(each))) {
    const { name, type, help, labels = {} }: MetricDefinition = definition
    t.match(name, /^refstream_[a-z]+(_[a-z]+)*$/)
    t.equal(name.endsWith('_total'), type === 'counter', `${name}: _total is for counters`)
    if (type === 'histogram') t.match(name, /_seconds$/)
    t.match(help, /^\S[^\n]*\.$/, `${name}: one line`)
    for (const label of Object.keys(labels)) t.match(label, /^[a-z]+$/, `${name}: ${label}`)
  }
})

t.test(
  'open file descriptors are counted at each scrape',
  { skip: process.platform !== 'linux' && 'Linux only' },
  async (t) => {
    const { registry } = new Metrics()
    const count = async (): Promise<number> => {
      const [, value] = /^process_open_fds (\d+)$/m.exec(await registry.metrics()) ?? []
      return Number(value)
    }
    const before = await count()
    const files = Array.from({ length: 20 }, () => openSync('/dev/null', 'r'))
    const after = await count()
    for (const file of files) closeSync(file)
    t.ok(before > 0)
    // Others may be opened or closed by the runtime meanwhile.
    t.ok(after >= before + 10, `${before}, then ${after}`)
  },
)
