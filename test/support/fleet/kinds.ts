import type { Test } from 'tap'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { open } from '../http-client.js'
import { startSidecar, type SpawnedSidecar } from '../sidecar.js'
import { workersOf } from '../worker-processes.js'
import { skipEtcd, startEtcd } from './etcd.js'
import { startFleet } from './nodes.js'
import { skipRedis, startRedis } from './redis.js'

/** By what the processes of a fleet under test share their fills. */
export type FleetKind = 'redis' | 'etcd' | 'workers'

/** Why tests of a kind are skipped; false: they are not. */
export const skipKind: Readonly<Record<FleetKind, string | false>> = {
  redis: skipRedis,
  etcd: skipEtcd,
  workers: process.platform === 'linux' ? false : 'the tests read /proc',
}

/** One of the processes, a node or a worker. */
export interface FleetProcess {
  readonly pid: number
  /** All workers have one URL. */
  readonly url: string
  /** Requests by this agent reach this process. */
  readonly agent: Agent | false
}

/** Three processes that serve one root. */
export interface TestedFleet {
  readonly processes: readonly FleetProcess[]
  /** The sidecars that were started: a node each, or all workers. */
  readonly sidecars: readonly SpawnedSidecar[]
  /** Resolves with a metric's sum over the processes that run. */
  readonly metric: (name: string, labels?: Record<string, string>) => Promise<number>
}

export interface TestedFleetOptions {
  readonly root: string
  readonly args?: readonly string[]
  /** Connections that each worker is to have; nodes have addresses of their own. */
  readonly connections?: number
}

/** Starts three nodes with an engine, or three workers. Ended with the test. */
export async function startFleetOf(
  t: Test,
  kind: FleetKind,
  options: TestedFleetOptions,
): Promise<TestedFleet> {
  if (kind === 'workers') return startWorkers(t, options)
  const redis = kind === 'redis' ? await startRedis(t) : undefined
  const engine = redis ? `redis://127.0.0.1:${redis.port}` : `etcd://127.0.0.1:${(await startEtcd(t)).port}`
  const fleet = await startFleet(t, { engine, ...options })
  const { nodes } = fleet
  const processes = nodes.map(({ pid, url }) => ({ pid, url, agent: false as const }))
  return { processes, sidecars: nodes, metric: (name, labels) => fleet.metric(name, labels) }
}

async function startWorkers(
  t: Test,
  { root, args = [], connections = 100 }: TestedFleetOptions,
): Promise<TestedFleet> {
  const sidecar = await startSidecar(t, root, { args: ['--workers', '3', ...args] })
  const pids = workersOf(sidecar.pid)
  const processes: FleetProcess[] = []
  for (const pid of pids) {
    const agent = new Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections })
    t.teardown(() => agent.destroy())
    await whileStopped(
      pids.filter((other) => other !== pid),
      () => connect(sidecar.url, agent, connections),
    )
    processes.push({ pid, url: sidecar.url, agent })
  }
  const metric: TestedFleet['metric'] = (name, labels) => sidecar.metric(name, labels)
  return { processes, sidecars: [sidecar], metric }
}

/** Opens connections, which whatever process runs now accepts. */
async function connect(url: string, agent: Agent, count: number): Promise<void> {
  const used = Array.from({ length: count }, async () => {
    const response = await open(`${url}/none`, { agent })
    await once(response.resume(), 'end')
  })
  await Promise.all(used)
}

async function whileStopped(pids: readonly number[], work: () => Promise<void>): Promise<void> {
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  try {
    await work()
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT')
  }
}
