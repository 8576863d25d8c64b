import t from 'tap'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { metricSubjects } from '../../../src/telemetry/metrics/catalog.js'
import { nodeMetrics } from '../../../src/telemetry/metrics/program.js'
import { Metrics } from '../../../src/telemetry/metrics.js'
import { exprOf } from '../../../src/telemetry/monitoring/alert.js'
import { recordings } from '../../../src/telemetry/monitoring/recordings.js'
import { alerts, runbookUrl, type AlertName } from '../../../src/telemetry/monitoring/rules.js'
import { tempDir } from '../../support/temp-dir.js'

const skip = spawnSync('promtool', ['--version']).error
  ? 'promtool is not installed (Debian: prometheus)'
  : false

/** Series by which an alert fires, with the labels that it has then, and those by which it does not. */
interface Case {
  readonly fires: Readonly<Record<string, string>>
  readonly quiet: Readonly<Record<string, string>>
  /** Besides job and instance; an empty one is absent. */
  readonly labels?: Readonly<Record<string, string>>
}

const upstream = 'git.example.com:443'
const still = '5+0x120'
const grows = '0+6x120'
const shedSeries = 'refstream_requests_shed_total{reason="wait"}'
const ratioOf = (asked: string, clients: string): Record<string, string> => ({
  [`refstream_upstream_requests_total{upstream="${upstream}",cause="refresh",result="ok"}`]: asked,
  [`refstream_upstream_client_requests_total{upstream="${upstream}"}`]: clients,
})
const each = (series: string, fires: string, quiet: string, labels?: Record<string, string>): Case => ({
  fires: { [series]: fires },
  quiet: { [series]: quiet },
  ...(labels && { labels }),
})

/** The evaluation is after two hours, of which each minute has a sample. */
const cases: Readonly<Record<AlertName, Case>> = {
  RefstreamDown: each('up', '0x120', '1x120'),
  RefstreamNotReady: each('refstream_ready', '0x120', '1x120'),
  RefstreamShedding: each(shedSeries, grows, still),
  RefstreamErrors: {
    fires: {
      'refstream_requests_total{kind="dumb",outcome="error"}': '0+2x120',
      'refstream_requests_total{kind="dumb",outcome="hit"}': '0+98x120',
    },
    quiet: {
      'refstream_requests_total{kind="dumb",outcome="error"}': '0+2x120',
      'refstream_requests_total{kind="dumb",outcome="hit"}': '0+998x120',
    },
  },
  RefstreamFillsFailing: {
    fires: {
      'refstream_fill_failures_total{kind="listing",fault="producer"}': '0+10x120',
      'refstream_fills_total{kind="listing",result="failed"}': '0+10x120',
      'refstream_fills_total{kind="listing",result="committed"}': '0+90x120',
    },
    // What Git refuses to one client is no failure of ours.
    quiet: {
      'refstream_fill_failures_total{kind="listing",fault="refused"}': '0+10x120',
      'refstream_fills_total{kind="listing",result="failed"}': '0+10x120',
    },
    labels: { kind: 'listing' },
  },
  RefstreamBackingOff: each('refstream_fill_failures_total{kind="pack",fault="backing-off"}', grows, still, {
    kind: 'pack',
  }),
  RefstreamEventLoopSaturated: each(
    'nodejs_eventloop_time_seconds_total{state="active"}',
    '0+57x120',
    '0+30x120',
    { state: 'active' },
  ),
  RefstreamFilesystemHangs: each('refstream_observations_total{result="timeout"}', grows, still, {
    result: 'timeout',
  }),
  RefstreamWorkerMissing: each('refstream_workers{state="missing"}', '1x120', '0x120', { state: 'missing' }),
  RefstreamLogLinesDropped: each('refstream_log_lines_dropped_total', grows, still),
  RefstreamLoserWrites: each('refstream_loser_writes_total', grows, still),
  RefstreamSpliceMismatch: each(
    'refstream_splice_audits_total{kind="listing",verdict="different"}',
    grows,
    still,
    {
      kind: 'listing',
    },
  ),
  RefstreamLeasesExpiring: each('refstream_leases_ended_total{end="expired"}', grows, still, {
    end: 'expired',
  }),
  RefstreamOlderThanBound: each(
    `refstream_upstream_stale_answers_total{upstream="${upstream}"}`,
    grows,
    still,
    {
      upstream,
    },
  ),
  RefstreamUpstreamAmplified: {
    fires: ratioOf('0+7x120', '0+6x120'),
    quiet: {},
    labels: { upstream, instance: '', job: '' },
  },
  RefstreamUpstreamAway: each(
    `refstream_upstream_breaker_open{upstream="${upstream}"}`,
    '1x120',
    '1 1 0x120',
    { upstream },
  ),
  RefstreamEngineDown: each('refstream_fleet_engine_up', '0x120', '1x120'),
  RefstreamStoreFull: each('refstream_store_full', '1x120', '0x120'),
  RefstreamStoreFailing: each('refstream_store_errors_total{operation="write"}', grows, still, {
    operation: 'write',
  }),
  RefstreamCertificateExpiring: each(
    'refstream_tls_certificate_expiry_timestamp_seconds{setting="peer-tls-cert"}',
    `${13 * 86400}x120`,
    `${16 * 86400}x120`,
    { setting: 'peer-tls-cert' },
  ),
}

/** Adds the labels of a target to a series. */
const at = (series: string, instance: string): string => {
  const target = `job="refstream",instance="${instance}"`
  return series.endsWith('}') ? series.replace('}', `,${target}}`) : `${series}{${target}}`
}
const inputs = (all: Readonly<Record<string, string>>, instance: string): object[] =>
  Object.entries(all).map(([series, values]) => ({ series: at(series, instance), values }))

t.test('each alert fires for the instance that is ill, and not for one that is well', { skip }, async (t) => {
  const tests = Object.entries(cases).map(([name, { fires, quiet, labels = {} }]) => {
    const { severity, summary, description } = alerts[name as AlertName]
    const all: Record<string, string> = { job: 'refstream', instance: 'ill', ...labels }
    const present = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
    const filled = (text: string): string =>
      text.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_all, label: string) => all[label] ?? '')
    return {
      interval: '1m',
      name,
      input_series: [...inputs(fires, 'ill'), ...inputs(quiet, 'well')],
      alert_rule_test: [
        {
          eval_time: '2h',
          alertname: name,
          exp_alerts: [
            {
              exp_labels: { severity, ...present },
              exp_annotations: {
                summary: filled(summary),
                description: filled(description),
                runbook_url: runbookUrl(name),
              },
            },
          ],
        },
      ],
    }
  })
  const calm = {
    interval: '1m',
    name: 'an upstream that is asked less often than clients ask',
    input_series: inputs(ratioOf('0+2x120', '0+8x120'), 'well'),
    alert_rule_test: [{ eval_time: '2h', alertname: 'RefstreamUpstreamAmplified', exp_alerts: [] }],
    promql_expr_test: [
      {
        expr: recordings.amplification.record,
        eval_time: '2h',
        exp_samples: [{ labels: `${recordings.amplification.record}{upstream="${upstream}"}`, value: 0.25 }],
      },
    ],
  }
  const path = join(tempDir(t), 'test.yml')
  const rules = resolve('fixtures/prometheus-rules.yml')
  // JSON is YAML too.
  writeFileSync(
    path,
    JSON.stringify({ rule_files: [rules], evaluation_interval: '1m', tests: [...tests, calm] }),
  )
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', path], { encoding: 'utf8' })
  t.equal(status, 0, `${stdout}${stderr}`)
  t.equal(spawnSync('promtool', ['check', 'rules', rules]).status, 0)
})

t.test('rules name metrics of the catalogue only, and those of Node.js exist', async (t) => {
  const names = new Set(
    Object.values(metricSubjects).flatMap((subject) => Object.values(subject).map(({ name }) => name)),
  )
  const expressions = [
    ...Object.values(alerts).map(exprOf),
    ...Object.values(recordings).map(({ expr }) => expr),
  ]
  for (const expr of expressions) {
    for (const [name] of expr.matchAll(/(?<![:\w])refstream_[a-z_]+(?![:\w])/g)) t.ok(names.has(name), name)
  }
  const { registry } = new Metrics()
  for (const { name } of Object.values(nodeMetrics)) t.ok(registry.getSingleMetric(name), name)
})

t.test('the first scrape has no fault that promtool finds', { skip }, async (t) => {
  const { registry } = new Metrics()
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: await registry.metrics(),
    encoding: 'utf8',
  })
  t.equal(status, 0, `${stdout}${stderr}`)
})
