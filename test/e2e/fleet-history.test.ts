import t from 'tap'
import type { Test } from 'tap'
import { startEtcd, skipEtcd } from '../support/fleet/etcd.js'
import { startFleet } from '../support/fleet/nodes.js'
import { startRedis, skipRedis } from '../support/fleet/redis.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { createHistoryRepository } from '../support/history-repository.js'
import { runHistory, type History, type RunOptions } from '../support/history-run.js'
import { startPlainServer } from '../support/plain-server.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const seed = Number(process.env['REFSTREAM_SEED'] ?? Date.now() % 1_000_000)
const rounds = Number(process.env['REFSTREAM_ROUNDS'] ?? 4)
/** Many processes run at once; a busy machine takes long. */
t.setTimeout(600_000)

const engines = {
  redis: { skip: skipRedis, start: async (t: Test) => `redis://127.0.0.1:${(await startRedis(t)).port}` },
  etcd: { skip: skipEtcd, start: async (t: Test) => `etcd://127.0.0.1:${(await startEtcd(t)).port}` },
}

type Metric = (name: string, labels?: Record<string, string>) => Promise<number>

/** Checks what is true of each history. @param fills processes or requests by which nodes have made their answers */
async function check(
  t: Test,
  { reads, writes, violations, refusals }: History,
  metric: Metric,
  fills: number,
  mayHit = true,
): Promise<void> {
  const hits = await metric('refstream_requests_total', { outcome: 'hit' })
  const borrowed = await metric('refstream_fleet_borrowed_fills_total')
  const operations = await metric('refstream_fleet_engine_operations_total')
  t.comment(
    `seed ${seed}: ${writes.length} writes, ${reads.length} reads, ${fills} fills, ${borrowed} borrowed, ` +
      `${hits} hits, ${(operations / reads.length).toFixed(2)} engine operations per read`,
  )
  t.same(violations, [], `no answer is older than its request, or than another before it (seed ${seed})`)
  t.same(refusals, { leases: 0, pushes: 0, forgotten: 0 })
  t.ok(reads.length > 50, 'readers read often')
  t.ok(fills < reads.length, 'readers share fills')
  if (mayHit) t.ok(hits > 0, 'entries are reused')
  t.ok(borrowed > 0, 'nodes share fills')
  t.equal(await metric('refstream_requests_total', { outcome: 'error' }), 0)
}

/** A history over three nodes that share a directory. */
async function onDisk(t: Test, engine: keyof typeof engines, mode: 'observe' | 'lease'): Promise<void> {
  const root = tempDir(t)
  const repository = createHistoryRepository(t, root, 'files')
  const wrapper = makeGitWrapper(t)
  const args = ['--git', wrapper.path, '--freshness', mode]
  const { nodes, metric } = await startFleet(t, { root, engine: await engines[engine].start(t), args })
  const url = nodes.map((node) => node.url)
  const history = await runHistory({
    ...{ repository, mode, url, adminUrl: nodes[0]!.adminUrl, seed, length: { rounds } },
    // In the mode `lease` leases are opened at one node, and others are read.
    readUrl: mode === 'lease' ? url.slice(1) : url,
  })
  await check(t, history, metric, wrapper.count('upload-pack'))
  t.comment(`most processes at once for one key: ${wrapper.mostAtOnce()}`)
}

t.test('three nodes on Redis, observe', { skip: engines.redis.skip }, (t) => onDisk(t, 'redis', 'observe'))
t.test('three nodes on Redis, lease', { skip: engines.redis.skip }, (t) => onDisk(t, 'redis', 'lease'))
t.test('three nodes on etcd, lease', { skip: engines.etcd.skip }, (t) => onDisk(t, 'etcd', 'lease'))

t.test('three nodes on Redis, upstream exact', { skip: engines.redis.skip }, async (t) => {
  const root = tempDir(t)
  const repository = createHistoryRepository(t, root, 'files')
  const upstream = await startPlainServer(t, root)
  const engine = await engines.redis.start(t)
  const { nodes, metric } = await startFleet(t, { root: undefined, engine, args: ['--upstream', upstream] })
  const url = nodes.map((node) => node.url)
  const history = await runHistory({
    ...{ repository, mode: 'observe', url, adminUrl: nodes[0]!.adminUrl, seed, length: { rounds } },
  })
  const asked = await metric('refstream_upstream_requests_total', { cause: 'client' })
  await check(t, history, metric, asked, false)
})

for (const mode of ['observe', 'lease'] as const) {
  t.test(`three workers, ${mode}`, async (t) => {
    const root = tempDir(t)
    const repository = createHistoryRepository(t, root, 'files')
    const wrapper = makeGitWrapper(t)
    const args = ['--workers', '3', '--git', wrapper.path, '--freshness', mode]
    const { url, adminUrl, metric } = await startSidecar(t, root, { args })
    const options: RunOptions = { repository, mode, url, adminUrl, seed, length: { rounds } }
    await check(t, await runHistory(options), metric, wrapper.count('upload-pack'))
    t.comment(`most processes at once for one key: ${wrapper.mostAtOnce()}`)
  })
}
