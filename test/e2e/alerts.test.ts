import t from 'tap'
import { execFileSync } from 'node:child_process'
import type { Status } from '../../src/status/model.js'
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Authority, type Pair } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { complaint, gitClient } from '../support/git-client.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs } from '../support/http-client.js'
import { skipPrometheus, startPrometheus, type Prometheus } from '../support/monitoring/prometheus.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.setTimeout(180_000)
if (skipPrometheus !== false) {
  t.plan(0, skipPrometheus)
  process.exit()
}

/** Mounts a small filesystem. @returns false: only root can */
function mountSmall(point: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'none', point], { stdio: 'ignore' })
  } catch {
    return false
  }
  t.teardown(() => execFileSync('umount', ['--lazy', point]))
  return true
}

/** Resolves with the first line of a log that has all this. */
async function line(
  { log }: SpawnedSidecar,
  holds: (entry: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  let found: Record<string, unknown> | undefined
  await eventually('the line is in the log', () => (found = log.find(holds)) !== undefined)
  return found!
}

/** Repeats work, such as a client's request, until something is told. @returns what is told */
async function until<T>(told: Promise<T>, work: () => Promise<unknown>): Promise<T> {
  const end = { isReached: false }
  void told.finally(() => (end.isReached = true)).catch(() => {})
  while (!end.isReached) await work()
  return told
}

/** Resolves with what the live page shows, once that is so. */
async function shown({ adminUrl }: SpawnedSidecar, holds: (status: Status) => boolean): Promise<Status> {
  let status: Status | undefined
  await eventually('it is shown', async () => {
    status = JSON.parse((await ask(`${adminUrl}/v1/status`)).body.toString()) as Status
    return holds(status)
  })
  return status!
}

/** Takes the place of a pair of files. */
function replace(pair: Pair, next: Pair): void {
  copyFileSync(next.cert, pair.cert)
  copyFileSync(next.key, pair.key)
}

const root = tempDir(t)
const work = tempDir(t)
const repository = makeRepository(root, 'r.git')
// One for which no failure is in force.
const other = makeRepository(root, 'other.git')
const small = tempDir(t)
const isMounted = mountSmall(small)
const cacheDir = join(small, 'cache')
mkdirSync(cacheDir)
const wrapper = makeGitWrapper(t)
const disk = await startSidecar(t, root, {
  cacheDir,
  args: ['--git', wrapper.path, '--cache-min-free-bytes', '1MiB', '--cache-min-free-inodes', '0'],
})
const authority = new Authority(t)
const names = { san: 'DNS:localhost,IP:127.0.0.1' }
const [server, peer, client, engine] = [0, 1, 2, 3].map(() => authority.issue(names)) as [
  Pair,
  Pair,
  Pair,
  Pair,
]
const secret = join(work, 'secret')
writeFileSync(secret, 'a secret of the test')
const upstream = await startSidecar(t, undefined, {
  args: [
    ...['--upstream', `elsewhere/**=https://127.0.0.1:1,${disk.url}`],
    ...['--upstream-client-cert', client.cert, '--upstream-client-key', client.key],
    ...['--listen', 'tls:127.0.0.1:0', '--tls-cert', server.cert, '--tls-key', server.key],
    ...['--fleet', 'rediss://127.0.0.1:9', '--fleet-node', 'a', '--fleet-members', 'a=https://127.0.0.1:1'],
    ...['--fleet-tls-cert', engine.cert, '--fleet-tls-key', engine.key, '--fleet-tls-ca', authority.cert],
    ...['--peer', '127.0.0.1:0', '--peer-tls-cert', peer.cert, '--peer-tls-key', peer.key],
    ...['--peer-tls-ca', authority.cert, '--fleet-secret-file', secret],
  ],
})
const prometheus: Prometheus = await startPrometheus(t, [disk.adminUrl, upstream.adminUrl])
const instanceOf = ({ adminUrl }: SpawnedSidecar): string => new URL(adminUrl).host
for (const each of [disk, upstream]) {
  await eventually('it was scraped', async () => {
    return (await prometheus.query(`refstream_ready{instance="${instanceOf(each)}"} == 1`)).length > 0
  })
}
const viaUpstream = (...config: string[]): Promise<string> =>
  gitClient(2)(
    work,
    '-c',
    `http.sslCAInfo=${authority.cert}`,
    ...config,
    'ls-remote',
    `${upstream.url}/r.git`,
  )
t.match(await viaUpstream(), /refs\/heads\/main/, 'all is well at first')

// First: where most fills succeed, a few that fail are no alert.
t.test('a broken Git', async (t) => {
  wrapper.plan(`echo 'git: error while loading shared libraries: libz.so.1' >&2; exit 127\n`)
  git(repository, 'update-ref', 'refs/heads/changed-again', 'main')
  const request = (): Promise<unknown> => ask(infoRefs(disk.url, 'r.git'))
  const told = ['RefstreamErrors', 'RefstreamFillsFailing'].map((name) =>
    prometheus.alert(name, instanceOf(disk)),
  )
  const [, failing] = await until(Promise.all(told), request)
  t.match(failing, { kind: 'advertisement' })
  const found = await line(disk, ({ stderr }) => /shared libraries/.test(String(stderr)))
  t.match(found, {
    ...{ level: 40, where: repository, ending: 'exit code 127' },
    msg: 'a Git process failed or reported an error',
  })
  await shown(disk, ({ failures }) =>
    failures.some(({ event, message }) => event === 'git' && message.includes('shared libraries')),
  )
  wrapper.plan(undefined)
})

t.test('a full disk', { skip: !isMounted && 'needs the right to mount a tmpfs' }, async (t) => {
  const file = join(small, 'fills-it')
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${file}`, 'bs=64k'], { stdio: 'ignore' })
  } catch {
    // No space left on device.
  }
  let changes = 0
  await until(prometheus.alert('RefstreamStoreFull', instanceOf(disk)), async () => {
    git(other, 'update-ref', `refs/heads/changed-${++changes}`, 'main')
    const { status } = await ask(infoRefs(disk.url, 'other.git'))
    if (status !== 200) t.fail(`a client got ${status}`)
  })
  t.match(await line(disk, ({ msg }) => /filesystem of the cache/.test(String(msg))), {
    level: 40,
    directory: cacheDir,
    msg: /nearly full; new entries are served but not stored/,
  })
  await shown(disk, ({ entries }) => entries.isShort)
  rmSync(file)
})

t.test('a dead upstream', async (t) => {
  await disk.stop('SIGKILL')
  await prometheus.alert('RefstreamDown', instanceOf(disk))
  const told = await until(prometheus.alert('RefstreamUpstreamAway', instanceOf(upstream)), async () => {
    t.match(await complaint(viaUpstream()), /503/)
  })
  t.match(told, { upstream: new URL(disk.url).host })
  const found = await line(upstream, ({ msg }) => msg === 'an upstream request failed')
  t.match(found, { upstream: new URL(disk.url).host, reason: /ECONNREFUSED/ })
  await shown(upstream, ({ upstreams }) =>
    upstreams.some(({ name, breaker }) => name === new URL(disk.url).host && breaker === 'open'),
  )
})

t.test('an expired certificate', async (t) => {
  replace(server, authority.issue({ ...names, days: -1 }))
  process.kill(upstream.pid, 'SIGHUP')
  const found = await line(upstream, ({ msg }) => /has expired/.test(String(msg)))
  t.match(found, {
    level: 50,
    setting: 'tls-cert',
    expires: /^\d/,
    msg: /clients refuse to connect; renew it/,
  })
  t.match(await complaint(viaUpstream()), /certificate/)
  await shown(
    upstream,
    ({ at, certificates: [first] }) => first?.setting === 'tls-cert' && first.expiresAt < at,
  )
  await eventually('the alert is about it', async () => {
    const settings = await prometheus.query('ALERTS{alertname="RefstreamCertificateExpiring"}')
    return settings.some(({ metric }) => metric['setting'] === 'tls-cert')
  })
})

t.test('each certificate that is in use falls under the alert', async (t) => {
  // Those of the test are valid for two days.
  const all = ['fleet-tls-cert', 'peer-tls-ca', 'peer-tls-cert', 'tls-cert', 'upstream-client-cert']
  await eventually('each has an alert', async () => {
    const series = await prometheus.query('ALERTS{alertname="RefstreamCertificateExpiring"}')
    return series.length >= all.length
  })
  const series = await prometheus.query('ALERTS{alertname="RefstreamCertificateExpiring"}')
  t.same(series.map(({ metric }) => metric['setting']).sort(), all)
  for (const setting of all.filter((each) => each !== 'tls-cert'))
    await line(upstream, ({ msg }) => String(msg).startsWith(`the certificate of --${setting} expires soon`))
})
