import { setTimeout as sleep } from 'node:timers/promises'
import { violations, type Read, type Write } from './history.js'
import { LeaseClient } from './lease-client.js'
import { Random } from './random.js'
import { createReader, type Reader } from './readers.js'
import type { HistoryRepository } from './history-repository.js'
import { allWriters, type Value, type Writer } from './writers.js'

export interface RunOptions {
  readonly stage: HistoryRepository
  readonly url: string
  readonly adminUrl: string
  /** observe: nobody takes a lease. lease: everybody does, around each change. */
  readonly mode: 'observe' | 'lease'
  /** Decides what is written next, and when. */
  readonly seed: number
  /** How often each writer writes, or for how long. */
  readonly length: { readonly rounds: number } | { readonly seconds: number }
}

export interface History {
  readonly writes: readonly Write[]
  readonly reads: readonly Read[]
  readonly violations: readonly string[]
}

/** Milliseconds between two changes of a writer in a storm. */
const pauses = [0, 0, 0, 10, 30, 100]
/** Storms of changes, and times so quiet that entries are kept and used again, by turns; in milliseconds. */
const stormMs = 700
const calmMs = 300
/**
 * Milliseconds between two questions. Half of the readers are hasty: they go in convoys, since all who share an answer
 * ask again as one. The others come at any moment of a fill.
 */
const readerPauses = { hasty: [0], slow: [5, 40, 200] }

/** Lets real writers and readers loose on a repository, and checks all that was seen. @throws if one of them fails */
export async function runHistory(options: RunOptions): Promise<History> {
  const { stage, url, mode, seed, length } = options
  const writers = allWriters({ ...stage, url: `${url}/${stage.path}` })
  const registers = writers.flatMap((writer) => writer.registers)
  const readers = readersOf(url, stage.path, registers)
  const leases = mode === 'lease' ? new LeaseClient(options.adminUrl, stage.path) : undefined
  const writes: Write[] = []
  const reads: Read[] = []

  const startedAt = performance.now()
  /** Writers at work; none if one has failed. */
  let writing = writers.length
  const over = (round: number): boolean =>
    writing <= 0 ||
    ('rounds' in length ? round >= length.rounds : performance.now() - startedAt > length.seconds * 1000)

  const write = async (writer: Writer, index: number): Promise<void> => {
    const random = new Random(seed + index)
    const now = new Map<string, Value>(writer.registers.map((register) => [register, undefined]))
    if (now.has('HEAD')) now.set('HEAD', 'refs/heads/main')
    for (const [register, value] of now) writes.push({ register, value, start: -Infinity, end: -Infinity })
    for (let round = 0; !over(round); round++) {
      const change = writer.next(now, random)
      const start = performance.now()
      if (!leases || writer.throughSidecar) await change.run()
      else await leases.during(() => change.run(), change.values.size > 0)
      const end = performance.now()
      for (const [register, value] of change.values) {
        writes.push({ register, value, start, end })
        now.set(register, value)
      }
      await sleep(random.pick(pauses))
      const phase = (performance.now() - startedAt) % (stormMs + calmMs)
      if (phase > stormMs) await sleep(stormMs + calmMs - phase)
    }
  }
  const read = async (reader: Reader, pauses: readonly number[], index: number): Promise<void> => {
    const random = new Random(seed + writers.length + index)
    for (; writing > 0; await sleep(random.pick(pauses))) reads.push(await reader.read())
  }
  const giveUp = (error: unknown): never => {
    writing = 0
    throw error
  }
  const outcomes = await Promise.allSettled([
    ...writers.map((writer, index) => write(writer, index).then(() => writing--, giveUp)),
    ...readers.flatMap((reader, index) => [
      read(reader, readerPauses.hasty, index).catch(giveUp),
      read(reader, readerPauses.slow, index).catch(giveUp),
    ]),
  ])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  // What everybody sees at last.
  for (const reader of readers) reads.push(await reader.read())
  return { writes, reads, violations: violations(writes, reads) }
}

/** Readers of every kind, of these registers. */
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
