import type { Test } from 'tap'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startSidecar, type SpawnedSidecar } from '../sidecar.js'
import { tempDir } from '../temp-dir.js'

export interface FleetOptions {
  /** undefined: without repositories of their own. */
  readonly root: string | undefined
  /** The value of `--fleet`. */
  readonly engine: string
  readonly count?: number
  readonly args?: readonly string[]
  /** Further arguments of one node, when it is started; by index. */
  readonly argsOf?: (index: number) => readonly string[]
  /** The root of one node, if they have not all the same; by index. */
  readonly rootOf?: (index: number) => string
  /** The engine's URL for one node, if not all ask it at the same address; by index. */
  readonly engineOf?: (index: number) => string
  /** Where the others find a node, if that is not where it listens: `unix:/path` or a URL; by index and its own address. */
  readonly memberUrl?: (index: number, own: string) => string
}

/** The nodes of a fleet, each in a process of its own. */
export interface SpawnedFleet {
  readonly nodes: readonly SpawnedSidecar[]
  /** Starts a node again, with its cache directory. */
  restart(index: number): Promise<SpawnedSidecar>
  /** Resolves with a metric's sum over the nodes that run. */
  readonly metric: (name: string, labels?: Record<string, string>) => Promise<number>
}

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

/** Starts nodes that listen for each other on Unix sockets. Ended with the test. */
export async function startFleet(t: Test, options: FleetOptions): Promise<SpawnedFleet> {
  const { root, engine, count = 3, args = [] } = options
  const directory = tempDir(t)
  const secret = join(directory, 'secret')
  writeFileSync(secret, randomBytes(24).toString('base64'), { mode: 0o600 })
  const own = (index: number): string => `unix:${join(directory, `${names[index]}.sock`)}`
  const urlOf = (index: number): string => options.memberUrl?.(index, own(index)) ?? own(index)
  const members = Array.from({ length: count }, (_, index) => `${names[index]}=${urlOf(index)}`).join(',')
  const start = (index: number): Promise<SpawnedSidecar> =>
    startSidecar(t, options.rootOf?.(index) ?? root, {
      cacheDir: join(directory, `cache-${index}`),
      args: [
        ...['--fleet', options.engineOf?.(index) ?? engine, '--fleet-members', members],
        ...[
          '--fleet-node',
          names[index]!,
          '--peer',
          own(index),
          '--fleet-secret-file',
          secret,
          ...args,
          ...(options.argsOf?.(index) ?? []),
        ],
      ],
    })
  const nodes = await Promise.all(Array.from({ length: count }, (_, index) => start(index)))
  return {
    nodes,
    restart: async (index) => (nodes[index] = await start(index)),
    metric: async (name, labels) => {
      const values = await Promise.all(nodes.map((node) => node.metric(name, labels).catch(() => 0)))
      return values.reduce((sum, value) => sum + value, 0)
    },
  }
}
