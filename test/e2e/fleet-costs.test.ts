import t from 'tap'
import type { Test } from 'tap'
import { startPlainServer } from '../support/plain-server.js'
import { startFleet, type SpawnedFleet } from '../support/fleet/nodes.js'
import { startRedis, skipRedis } from '../support/fleet/redis.js'
import { ask, infoRefs } from '../support/http-client.js'
import { LeaseClient } from '../support/lease-client.js'
import { makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

t.setTimeout(300_000)

const repository = 'r.git'

async function setUp(t: Test, args: readonly string[], isUpstream = false): Promise<SpawnedFleet> {
  const root = tempDir(t)
  makeRepository(root, repository)
  const where = isUpstream ? ['--upstream', await startPlainServer(t, root)] : []
  const engine = `redis://127.0.0.1:${(await startRedis(t)).port}`
  return startFleet(t, { root: isUpstream ? undefined : root, engine, args: [...where, ...args] })
}

/** Sends requests to all nodes in turn. @returns their durations in milliseconds, ascending */
async function load({ nodes }: SpawnedFleet, clients: number, requests: number): Promise<number[]> {
  const tookMs: number[] = []
  const read = async (url: string): Promise<void> => {
    for (let request = 0; request < requests / clients; request++) {
      const start = performance.now()
      const { status } = await ask(infoRefs(url, repository))
      tookMs.push(performance.now() - start)
      if (status !== 200) throw new Error(`HTTP ${status}`)
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, client) => read(nodes[client % nodes.length]!.url)))
  return tookMs.sort((a, b) => a - b)
}

/** Returns the engine's operations per client request, without those that nodes do without any request. */
async function operationsPerRequest(fleet: SpawnedFleet, clients: number, requests: number): Promise<number> {
  const count = async (): Promise<number> => {
    const all = await fleet.metric('refstream_fleet_engine_operations_total')
    return all - (await fleet.metric('refstream_fleet_engine_operations_total', { operation: 'beat' }))
  }
  await load(fleet, clients, clients)
  const before = await count()
  const tookMs = await load(fleet, clients, requests)
  const rate = ((await count()) - before) / tookMs.length
  const median = tookMs[Math.floor(tookMs.length / 2)]!.toFixed(1)
  const text = `${rate.toFixed(3)} engine operations per request, median ${median} ms`
  t.comment(`${fleet.nodes.length} nodes, ${clients} clients, ${tookMs.length} requests: ${text}`)
  return rate
}

t.test('observe: warm traffic needs no engine', { skip: skipRedis }, async (t) => {
  const rate = await operationsPerRequest(await setUp(t, ['--freshness', 'observe']), 50, 300)
  t.ok(rate < 0.01)
})

t.test('lease: clients share reads of the engine', { skip: skipRedis }, async (t) => {
  const fleet = await setUp(t, ['--freshness', 'lease'])
  const rate = await operationsPerRequest(fleet, 50, 600)
  t.ok(rate < 0.3)
  // One client after the other: each needs a read of its own.
  t.ok((await operationsPerRequest(fleet, 1, 30)) < 1.1)
})

t.test('upstream, exact: clients share questions', { skip: skipRedis }, async (t) => {
  const fleet = await setUp(t, [], true)
  const rate = await operationsPerRequest(fleet, 50, 200)
  t.ok(rate < 1)
})

t.test('what a first answer costs at a node that borrows it', { skip: skipRedis }, async (t) => {
  const fleet = await setUp(t, ['--freshness', 'lease'])
  const [one, two] = fleet.nodes as [(typeof fleet.nodes)[0], (typeof fleet.nodes)[0]]
  const leases = new LeaseClient(one.adminUrl, repository)
  const timed = async (url: string): Promise<number> => {
    const start = performance.now()
    t.equal((await ask(infoRefs(url, repository))).status, 200)
    return performance.now() - start
  }
  const tookMs: Record<'made' | 'borrowed' | 'kept', number[]> = { made: [], borrowed: [], kept: [] }
  for (let round = 0; round < 10; round++) {
    await leases.invalidate()
    tookMs.made.push(await timed(one.url))
    tookMs.borrowed.push(await timed(two.url))
    tookMs.kept.push(await timed(two.url))
  }
  const medianOf = (times: number[]): string =>
    times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!.toFixed(1)
  for (const [how, times] of Object.entries(tookMs))
    t.comment(`first answer ${how}: median ${medianOf(times)} ms`)
  t.ok((await two.metric('refstream_fleet_borrowed_fills_total')) > 5)
})
