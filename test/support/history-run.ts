import { setTimeout as sleep } from 'node:timers/promises'
import { violations, type Bound, type Read, type Write } from './history.js'
import { LeaseClient } from './lease-client.js'
import { Random } from './random.js'
import { createReader, type Reader } from './readers.js'
import type { HistoryRepository } from './history-repository.js'
import { allWriters, type Value, type Writer } from './writers.js'

export interface RunOptions {
  readonly repository: HistoryRepository
  readonly url: string
  readonly adminUrl: string
  /**
   * observe: no writer opens a lease. lease: each does, around each change. invalidate: each reports its changes when they
   * are made, and they count as made then.
   */
  readonly mode: 'observe' | 'lease' | 'invalidate'
  /** Determines what is written next, and when. */
  readonly seed: number
  /** How often each writer writes, or for how many seconds all do. */
  readonly length: { readonly rounds: number } | { readonly seconds: number }
  /** How old answers may be; undefined: reads must be linearizable. */
  readonly bound?: Bound
  /** Leaves out writers whose changes pass through the sidecar, which then hears of no change. */
  readonly onlyAtServer?: boolean
  /** Further readers of the registers. */
  readonly moreReaders?: (registers: readonly string[]) => Reader[]
}

export interface History {
  readonly writes: readonly Write[]
  readonly reads: readonly Read[]
  readonly violations: readonly string[]
}

/** Milliseconds between two changes of a writer in a busy phase. */
const pauses = [0, 0, 0, 10, 30, 100]
/** Milliseconds of alternating phases: changes in quick succession, and none, so that entries are kept and reused. */
const busyMs = 700
const quietMs = 300
/**
 * Milliseconds between two reads. Half of the readers read without a pause: they stay in step, since all that share an
 * answer read again at the same time. The others read at any moment of a fill.
 */
const readerPauses = { none: [0], some: [5, 40, 200] }

/** Runs writers and readers on a repository at once, and checks all reads. @throws if one of them fails */
export async function runHistory(options: RunOptions): Promise<History> {
  const { repository, url, mode, seed, length } = options
  const writers = allWriters({ ...repository, url: `${url}/${repository.path}` }).filter(
    ({ throughSidecar = false }) => !(throughSidecar && options.onlyAtServer),
  )
  const registers = writers.flatMap((writer) => writer.registers)
  const readers = readersOf(url, repository.path, registers)
  const more = options.moreReaders?.(registers) ?? []
  const leases = mode === 'observe' ? undefined : new LeaseClient(options.adminUrl, repository.path)
  const writes: Write[] = []
  const reads: Read[] = []

  const startedAt = performance.now()
  /** Number of running writers; 0 if one has failed. */
  let writing = writers.length
  const isOver = (round: number): boolean =>
    writing <= 0 ||
    ('rounds' in length ? round >= length.rounds : performance.now() - startedAt > length.seconds * 1000)

  const write = async (writer: Writer, index: number): Promise<void> => {
    const random = new Random(seed + index)
    const now = new Map<string, Value>(writer.registers.map((register) => [register, undefined]))
    if (now.has('HEAD')) now.set('HEAD', 'refs/heads/main')
    for (const [register, value] of now) writes.push({ register, value, start: -Infinity, end: -Infinity })
    for (let round = 0; !isOver(round); round++) {
      const change = writer.next(now, random)
      const start = performance.now()
      if (!leases || writer.throughSidecar) await change.run()
      else if (mode === 'lease') await leases.during(() => change.run(), change.values.size > 0)
      else await change.run().then(() => leases.invalidate())
      const end = performance.now()
      for (const [register, value] of change.values) {
        writes.push({ register, value, start, end })
        now.set(register, value)
      }
      await sleep(random.pick(pauses))
      const phase = (performance.now() - startedAt) % (busyMs + quietMs)
      if (phase > busyMs) await sleep(busyMs + quietMs - phase)
    }
  }
  const read = async (reader: Reader, pauses: readonly number[], index: number): Promise<void> => {
    const random = new Random(seed + writers.length + index)
    for (; writing > 0; await sleep(random.pick(pauses))) reads.push(await reader.read())
  }
  const stopAll = (error: unknown): never => {
    writing = 0
    throw error
  }
  const outcomes = await Promise.allSettled([
    ...writers.map((writer, index) => write(writer, index).then(() => writing--, stopAll)),
    ...readers.flatMap((reader, index) => [
      read(reader, readerPauses.none, index).catch(stopAll),
      read(reader, readerPauses.some, index).catch(stopAll),
    ]),
    ...more.map((reader, index) => read(reader, readerPauses.some, index).catch(stopAll)),
  ])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  // The final state is read too.
  for (const reader of [...readers, ...more]) reads.push(await reader.read())
  return { writes, reads, violations: violations(writes, reads, 20, options.bound) }
}

/** Returns a reader of each kind, of these registers. */
export function readersOf(url: string, path: string, registers: readonly string[]): Reader[] {
  const reader = (version: 0 | 1 | 2, ...prefixes: string[]): Reader =>
    createReader(url, path, registers, version, prefixes)
  return [
    reader(0),
    reader(0),
    reader(1),
    reader(2),
    reader(2, 'HEAD', 'refs/heads/', 'refs/tags/'),
    reader(2, 'refs/heads/renamed/'),
    reader(2, 'HEAD', 'refs/tags/'),
  ]
}
