import t, { type Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { workerContext } from '../../../src/assembly/worker-context/context.js'
import { SummedMetrics } from '../../../src/assembly/workers/summed-metrics.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { eventually } from '../../support/eventually.js'
import { FakeChannel } from '../../fleet/engines/workers/channel-pair.js'

/** A primary, and workers that were added to it. */
function setUp(count: number) {
  const timers = new Set<() => void>()
  const after = (_ms: number, call: () => void): (() => void) => {
    timers.add(call)
    return () => timers.delete(call)
  }
  const summed = new SummedMetrics({ count, leasesOpen: () => 3, clock: { now: () => 0, after } })
  const timeOut = (): void => timers.forEach((call) => call())
  const add = (index: number) => {
    const [there, control] = FakeChannel.pair()
    summed.add(index, there)
    const metrics = new Metrics()
    const [fleet] = FakeChannel.pair()
    const context = workerContext(
      { index, count, isFirst: false, directory: '/', secret: '', passed: {}, pretty: false },
      { control, fleet },
    )
    return { metrics, control, scrape: context.sumMetrics(metrics.registry) }
  }
  return { summed, add, timers, timeOut }
}

const count = (metrics: Metrics, hits: number): void =>
  metrics.requests.inc({ transport: 'http', kind: 'advertisement', protocol: 'v2', outcome: 'hit' }, hits)

/** Checks that a scrape has these lines. */
function has(t: Test, text: string, ...lines: string[]): void {
  const all = text.split('\n')
  for (const line of lines) t.ok(all.includes(line), line)
}
const hits = (value: number): string =>
  `refstream_requests_total{transport="http",kind="advertisement",protocol="v2",outcome="hit"} ${value}`

t.test('a scrape of any worker is that of all', async (t) => {
  const { add, summed } = setUp(2)
  const [first, second] = [add(1), add(2)]
  count(first.metrics, 3)
  count(second.metrics, 4)
  for (const { metrics } of [first, second]) {
    metrics.fillSeconds.observe(0.02)
    metrics.fleetEngineUp.set(1)
    metrics.fleetMembers.set(2)
  }
  second.metrics.tlsExpiry.set({ setting: 'tls-cert' }, 1000)
  first.metrics.tlsExpiry.set({ setting: 'tls-cert' }, 2000)
  summed.restarted()
  const texts = await Promise.all([first.scrape(), second.scrape()])
  for (const text of texts) {
    has(t, text, hits(7), 'refstream_fill_seconds_count 2', 'refstream_fill_seconds_bucket{le="+Inf"} 2')
    has(t, text, 'refstream_fleet_engine_up 1', 'refstream_fleet_members 2')
    has(t, text, 'refstream_tls_certificate_expiry_timestamp_seconds{setting="tls-cert"} 1000')
    has(t, text, 'refstream_workers{state="up"} 2', 'refstream_workers{state="missing"} 0')
    has(t, text, 'refstream_workers_restarts_total 1')
    for (const worker of ['primary', '1', '2'])
      t.match(text, `nodejs_heap_size_used_bytes{worker="${worker}"}`)
    t.notMatch(text, /^process_cpu_seconds_total \d/m)
    t.equal(text.match(/^nodejs_version_info\{/gm)?.length, 3)
  }
})

t.test(
  'a worker that does not answer delays a scrape for a moment, and counts with its last values',
  async (t) => {
    const { add, timers, timeOut } = setUp(2)
    const [first, second] = [add(1), add(2)]
    count(first.metrics, 3)
    count(second.metrics, 4)
    has(t, await first.scrape(), hits(7))
    count(first.metrics, 1)
    second.control.held = []
    const late = first.scrape()
    await eventually('one answer is waited for', () => timers.size === 1 && second.control.held!.length === 1)
    timeOut()
    has(t, await late, hits(8), 'refstream_workers{state="up"} 1', 'refstream_workers{state="missing"} 1')
    const { held } = second.control
    second.control.held = undefined
    for (const write of held) write()
    await sleep(1)
    has(t, await first.scrape(), hits(8), 'refstream_workers{state="up"} 2')
  },
)

t.test('the counters of a worker that has ended stay in the sum, its gauges do not', async (t) => {
  const { add, summed } = setUp(2)
  const [first, second] = [add(1), add(2)]
  count(first.metrics, 3)
  count(second.metrics, 4)
  second.metrics.fillSeconds.observe(1)
  second.metrics.upstreamConnections.set(7)
  has(t, await first.scrape(), hits(7), 'refstream_upstream_connections 7')
  for (let ended = 0; ended < 3; ended++) {
    const gone = ended === 0 ? second : add(2)
    if (ended > 0) count(gone.metrics, 10)
    await first.scrape()
    const waiting = first.scrape()
    gone.control.close()
    has(t, await waiting, 'refstream_workers{state="missing"} 1')
    summed.restarted()
  }
  const text = await first.scrape()
  has(t, text, hits(27), 'refstream_fill_seconds_count 1', 'refstream_workers_restarts_total 3')
  t.notMatch(text, 'refstream_upstream_connections 7')
  t.notMatch(text, 'worker="2"')
  t.equal(text.match(/^# TYPE refstream_requests_total /gm)?.length, 1)
})
