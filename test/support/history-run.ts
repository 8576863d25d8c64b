import { setTimeout as sleep } from 'node:timers/promises'
import { violations, type Bound, type Read, type Write } from './history.js'
import { AdminFailure, LeaseClient } from './lease-client.js'
import { Random } from './random.js'
import { createReader, type Reader } from './readers.js'
import type { HistoryRepository } from './history-repository.js'
import { allWriters, type Change, type Value, type Workplace, type Writer } from './writers.js'

export interface RunOptions {
  readonly repository: HistoryRepository
  /** Of the sidecar, or of the nodes of a fleet, over which readers and pushes are spread. */
  readonly url: string | readonly string[]
  /** Where readers read, if they do not do so everywhere. */
  readonly readUrl?: string | readonly string[]
  /** Of the sidecar, or of the node at which all leases are opened. */
  readonly adminUrl: string
  /**
   * observe: no writer opens a lease. lease: each does, around each change. invalidate: each reports its changes when they
   * are made, and they count as made then.
   */
  readonly mode: 'observe' | 'lease' | 'invalidate'
  /** Determines what is written next, and when. */
  readonly seed: number
  /** How often each writer writes, for how many seconds all do, or for as long as some work takes. */
  readonly length:
    { readonly rounds: number } | { readonly seconds: number } | { readonly during: () => Promise<unknown> }
  /** How old answers may be; undefined: reads must be linearizable. */
  readonly bound?: Bound
  /** Leaves out writers whose changes pass through the sidecar, which then hears of no change. */
  readonly onlyAtServer?: boolean
  /** A fleet may be unable to tell of a lease: may it refuse leases, and pushes that need them, with 503? */
  readonly mayRefuse?: boolean
  /** Further writers, with registers of their own. */
  readonly moreWriters?: (place: Workplace) => Writer[]
  /** Leaves out all other writers. */
  readonly onlyMoreWriters?: boolean
  /** Further readers of the registers. */
  readonly moreReaders?: (registers: readonly string[]) => Reader[]
}

export interface History {
  readonly writes: readonly Write[]
  readonly reads: readonly Read[]
  readonly violations: readonly string[]
  readonly refusals: Refusals
}

/** What mutators were refused. */
export interface Refusals {
  /** Leases that were refused with 503: nothing was changed. */
  leases: number
  /** Pushes that were refused with 503: nothing was changed. */
  pushes: number
  /** Leases that were not known any more at their ends, so that the change was reported by an invalidation. */
  forgotten: number
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

/** Milliseconds after which a mutator that was refused tries again. */
const refusedMs = 50

/** Runs writers and readers on a repository at once, and checks all reads. @throws if one of them fails */
export async function runHistory(options: RunOptions): Promise<History> {
  const { repository, mode, seed, length } = options
  const [urls, readUrls] = [[options.url].flat(), [options.readUrl ?? options.url].flat()]
  const place = { ...repository, url: urls.map((url) => `${url}/${repository.path}`) }
  const writers = [
    ...(options.onlyMoreWriters ? [] : allWriters(place)),
    ...(options.moreWriters?.(place) ?? []),
  ].filter(({ throughSidecar = false }) => !(throughSidecar && options.onlyAtServer))
  const registers = writers.flatMap((writer) => writer.registers)
  const readers = readersOf(readUrls, repository.path, registers)
  // At other nodes, if there are several.
  const slowReaders = readersOf([...readUrls.slice(1), readUrls[0]!], repository.path, registers)
  const more = options.moreReaders?.(registers) ?? []
  const leases = mode === 'observe' ? undefined : new LeaseClient(options.adminUrl, repository.path)
  const refusals: Refusals = { leases: 0, pushes: 0, forgotten: 0 }
  const writes: Write[] = []
  const reads: Read[] = []

  const startedAt = performance.now()
  /** Number of running writers; 0 if one has failed. */
  let writing = writers.length
  let isWorkOver = false
  const isOver = (round: number): boolean => {
    if (writing <= 0) return true
    if ('rounds' in length) return round >= length.rounds
    return 'seconds' in length ? performance.now() - startedAt > length.seconds * 1000 : isWorkOver
  }
  const isRefusal = (status: unknown): boolean => options.mayRefuse === true && status === 503

  /** Makes a change. @returns false: it was refused, and nothing was changed */
  const make = async (writer: Writer, change: Change): Promise<boolean> => {
    if (leases && !writer.throughSidecar) return makeUnderLease(leases, change)
    try {
      await change.run()
      return true
    } catch (error) {
      const [, status] =
        /requested URL returned error: (\d+)/.exec((error as { stderr?: string }).stderr ?? '') ?? []
      if (!writer.throughSidecar || !isRefusal(Number(status))) throw error
      refusals.pushes++
      return false
    }
  }
  const makeUnderLease = async (leases: LeaseClient, change: Change): Promise<boolean> => {
    if (mode === 'invalidate') {
      await change.run()
      await leases.invalidate()
      return true
    }
    try {
      await leases.during(() => change.run(), change.values.size > 0)
    } catch (error) {
      if (!(error instanceof AdminFailure)) throw error
      // As `refstream lease run` does.
      if (error.method === 'POST' && isRefusal(error.status)) {
        refusals.leases++
        return false
      }
      if (!options.mayRefuse || error.method !== 'DELETE' || error.status !== 404) throw error
      refusals.forgotten++
      await leases.invalidate()
    }
    return true
  }
  const write = async (writer: Writer, index: number): Promise<void> => {
    const random = new Random(seed + index)
    const now = new Map<string, Value>(writer.registers.map((register) => [register, undefined]))
    if (now.has('HEAD')) now.set('HEAD', 'refs/heads/main')
    for (const [register, value] of now) writes.push({ register, value, start: -Infinity, end: -Infinity })
    for (let round = 0; !isOver(round); round++) {
      const change = writer.next(now, random)
      const start = performance.now()
      if (!(await make(writer, change))) {
        await sleep(refusedMs)
        continue
      }
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
  const work = async (): Promise<void> => {
    if ('during' in length) await length.during()
    isWorkOver = true
  }
  const outcomes = await Promise.allSettled([
    work().catch(stopAll),
    ...writers.map((writer, index) => write(writer, index).then(() => writing--, stopAll)),
    ...readers.map((reader, index) => read(reader, readerPauses.none, index).catch(stopAll)),
    ...slowReaders.map((reader, index) => read(reader, readerPauses.some, index).catch(stopAll)),
    ...more.map((reader, index) => read(reader, readerPauses.some, index).catch(stopAll)),
  ])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  // The final state is read too.
  for (const reader of [...readers, ...slowReaders, ...more]) reads.push(await reader.read())
  return { writes, reads, violations: violations(writes, reads, 20, options.bound), refusals }
}

/** Returns a reader of each kind, of these registers. @param url where they read, one after the other, if there are several */
export function readersOf(
  url: string | readonly string[],
  path: string,
  registers: readonly string[],
): Reader[] {
  const urls = [url].flat()
  let count = 0
  const reader = (version: 0 | 1 | 2, ...prefixes: string[]): Reader =>
    createReader(urls[count++ % urls.length]!, path, registers, version, prefixes)
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
