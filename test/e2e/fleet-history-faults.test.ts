import t from 'tap'
import type { Test } from 'tap'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { startFaultyRedis, type EngineFault } from '../support/fleet/engine-faults.js'
import { startFleet, type SpawnedFleet } from '../support/fleet/nodes.js'
import { replicate, skipRedis, startRedis, startSentinels } from '../support/fleet/redis.js'
import { createHistoryRepository, type HistoryRepository } from '../support/history-repository.js'
import { runHistory } from '../support/history-run.js'
import { Random } from '../support/random.js'
import { tempDir } from '../support/temp-dir.js'

const seed = Number(process.env['REFSTREAM_SEED'] ?? Date.now() % 1_000_000)
/** How often all faults happen; in any order after the first time. */
const rounds = Number(process.env['REFSTREAM_ROUNDS'] ?? 1)
/** A part of a name of the only faults that happen. */
const only = process.env['REFSTREAM_FAULT'] ?? ''
/** Many processes run at once; a busy machine takes long. */
t.setTimeout(600_000)

/** Milliseconds between two faults: nodes have the engine back, or some do. */
const pauses = [100, 700, 1500]

async function inOrder(t: Test, faults: readonly EngineFault[]): Promise<void> {
  const random = new Random(seed)
  const chosen = faults.filter(({ name }) => name.includes(only))
  for (let round = 0; round < rounds; round++) {
    const left = [...chosen]
    while (left.length > 0) {
      await sleep(random.pick(pauses))
      const [fault] = left.splice(round === 0 ? 0 : random.below(left.length), 1)
      t.comment(fault!.name)
      await fault!.run()
    }
  }
  await sleep(random.pick(pauses))
}

const modes = ['observe', 'lease'] as const

/** A root with a repository for each mode. */
function createRoot(t: Test): { root: string; repositories: Map<(typeof modes)[number], HistoryRepository> } {
  const root = tempDir(t)
  const repositories = new Map(
    modes.map((mode) => {
      const made = createHistoryRepository(t, root, 'files')
      const path = `${mode}.git`
      const repository = join(root, path)
      renameSync(made.repository, repository)
      return [mode, { ...made, path, repository }]
    }),
  )
  return { root, repositories }
}

const freshness = ['--freshness', 'lease.git=lease,**=observe']

/** Histories in both modes at once, for as long as faults happen. */
async function histories(
  t: Test,
  { nodes, metric }: SpawnedFleet,
  repositories: ReturnType<typeof createRoot>['repositories'],
  faults: readonly EngineFault[],
): Promise<void> {
  const url = nodes.map((node) => node.url)
  const over = inOrder(t, faults)
  const found = await Promise.all(
    modes.map(async (mode) => {
      const history = await runHistory({
        ...{ repository: repositories.get(mode)!, mode, url, adminUrl: nodes[0]!.adminUrl, seed },
        ...{ length: { during: () => over }, mayRefuse: mode === 'lease' },
      })
      return { mode, ...history }
    }),
  )
  for (const { mode, reads, writes, violations, refusals } of found) {
    const { leases, pushes, forgotten } = refusals
    t.comment(
      `seed ${seed}, ${mode}: ${writes.length} writes, ${reads.length} reads; refused: ${leases} leases, ` +
        `${pushes} pushes; ${forgotten} leases forgotten`,
    )
    t.same(violations, [], `${mode}: no answer is older than its request (seed ${seed})`)
    t.ok(reads.length > 50, `${mode}: readers read often`)
  }
  t.equal(await metric('refstream_requests_total', { outcome: 'error' }), 0)
}

t.test('faults of Redis', { skip: skipRedis }, async (t) => {
  const { root, repositories } = createRoot(t)
  const { urlOf, faults } = await startFaultyRedis(t, 3)
  const fleet = await startFleet(t, { root, engine: urlOf(0), engineOf: urlOf, args: freshness })
  await histories(t, fleet, repositories, faults)
})

t.test('fail-over by Sentinel', { skip: skipRedis }, async (t) => {
  const { root, repositories } = createRoot(t)
  const [master, replica] = [await startRedis(t), await startRedis(t)]
  await replicate(replica, master)
  const { address, command } = await startSentinels(t, master)
  await eventually('the sentinel knows the replica', async () =>
    (await command('SENTINEL', 'replicas', 'main')).includes(String(replica.port)),
  )
  const [{ host, port } = { host: '', port: 0 }] = address.hosts
  const fleet = await startFleet(t, {
    ...{ root, engine: `redis+sentinel://${host}:${port}/main`, args: freshness },
  })
  const isMaster = async (): Promise<boolean> =>
    (await replica.command('INFO', 'replication')).includes('role:master')
  const failOver = async (): Promise<void> => {
    await master.kill()
    await eventually('the replica is the master', isMaster)
  }
  // It happens once.
  await histories(t, fleet, repositories, [{ name: 'fail-over', run: failOver }])
})
