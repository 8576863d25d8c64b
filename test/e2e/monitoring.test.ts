import t from 'tap'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { recordings } from '../../src/telemetry/monitoring/recordings.js'
import { alerts } from '../../src/telemetry/monitoring/rules.js'
import { Authority } from '../support/certificates.js'
import { gitClient } from '../support/git-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import { dashboardPanels } from '../support/monitoring/dashboard-panels.js'
import { skipPrometheus, startPrometheus } from '../support/monitoring/prometheus.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.setTimeout(120_000)

/** Fills in what Grafana would: all jobs and instances, and a time of some scrapes. */
const filled = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', 'refstream').replaceAll('$instance', '.+')

t.test('a real Prometheus has series for every panel and rule', { skip: skipPrometheus }, async (t) => {
  const root = tempDir(t)
  const work = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  writeFileSync(join(makeRepository(root, 'broken.git'), 'packed-refs'), 'not a list of refs\n')
  const { cert, key } = new Authority(t).issue({ san: 'IP:127.0.0.1' })
  const served = await startSidecar(t, root, { args: ['--workers', '2'] })
  const above = await startSidecar(t, undefined, {
    args: ['--upstream', served.url, '--listen', 'tls:127.0.0.1:0', '--tls-cert', cert, '--tls-key', key],
  })
  const prometheus = await startPrometheus(t, [served.adminUrl, above.adminUrl])

  let rounds = 0
  /** What clients do meanwhile: changes, listings, fetches, and requests for a repository that is broken. */
  const load = async (): Promise<void> => {
    git(repository, 'update-ref', `refs/heads/b${++rounds}`, 'main')
    const clone = join(work, String(rounds))
    const tls = ['-c', 'http.sslVerify=false']
    await Promise.all([
      gitClient(2)(work, 'clone', '--quiet', `${served.url}/r.git`, clone),
      gitClient(2)(work, ...tls, 'ls-remote', `${above.url}/r.git`),
      gitClient(0)(work, ...tls, 'ls-remote', `${above.url}/r.git`),
      ask(infoRefs(served.url, 'r.git')),
      // Git has begun to answer when it finds out; the answer breaks off.
      ask(infoRefs(served.url, 'broken.git')).catch(() => {}),
      ask(`${served.adminUrl}/v1/invalidate`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ repository: 'r.git' }),
      }),
    ])
    process.kill(above.pid, 'SIGHUP')
  }

  const panels = dashboardPanels(JSON.parse(readFileSync('fixtures/grafana-dashboard.json', 'utf8')))
  const wanted = new Map([
    ...panels.flatMap(({ title, targets }) =>
      targets.map(({ refId, expr }) => [`panel ${title} ${refId}`, filled(expr)] as const),
    ),
    ...Object.entries(alerts).map(([name, { value }]) => [`alert ${name}`, value] as const),
    ...Object.values(recordings).map(({ record }) => [`recording ${record}`, record] as const),
  ])
  t.ok(wanted.size > 120, `${wanted.size} expressions`)
  const until = performance.now() + 60_000
  while (wanted.size > 0 && performance.now() < until) {
    await load()
    for (const [name, expr] of wanted) if ((await prometheus.query(expr)).length > 0) wanted.delete(name)
  }
  t.same([...wanted], [], `each has series after ${rounds} rounds`)

  const rules = await prometheus.rules()
  t.equal(rules.length, Object.keys({ ...alerts, ...recordings }).length)
  for (const { name, health, lastError } of rules) t.equal(health, 'ok', `${name}: ${lastError}`)
  t.equal((await prometheus.query('refstream_ready{job="refstream"}')).length, 2, 'both can be chosen')
  for (const { adminUrl } of [served, above]) {
    const input = await (await fetch(`${adminUrl}/metrics`)).text()
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input,
      encoding: 'utf8',
    })
    t.equal(status, 0, `${stdout}${stderr}`)
  }
})
