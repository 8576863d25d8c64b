import { lstatSync, statSync, type BigIntStats } from 'node:fs'
import { listEntries, type DirectoryEntries } from '../filesystem/directory-entries.js'
import type { OpenDirectory, Place } from '../filesystem/open-directory.js'
import type { PathGuard } from '../filesystem/path-guard.js'
import { readRegularFile } from '../filesystem/read-file.js'
import { isAbsent } from '../filesystem/system-errors.js'
import { timestampGranularityMs } from '../filesystem/timestamp-granularity.js'
import {
  changedAtMs,
  isSameVersion,
  RememberedFile,
  versionOf,
  type SnapshotMemory,
} from './snapshot-memory.js'

/** The clocks of a snapshot, in milliseconds: the wall clock, by which files are stamped, and a monotonic one. */
export interface SnapshotClocks {
  readonly wall: () => number
  readonly steady: () => number
}

/** Made once, for all stat calls. */
const statOptions = { bigint: true, throwIfNoEntry: false } as const

const systemClocks: SnapshotClocks = { wall: () => Date.now(), steady: () => performance.now() }

/**
 * The state of a set of files at one moment: records their stat results in a digest, and tells whether the timestamps
 * among them are old enough to be trusted.
 *
 * System calls are synchronous: a stat of what the kernel has cached takes 2 µs so and 14 µs of CPU through the thread
 * pool, and an ordinary repository needs some twenty of them. A caller with many files yields between them.
 */
export class StatSnapshot {
  /** Checks each path that may lead to another mount before it is used; undefined: no mount may hang. */
  readonly guard: PathGuard | undefined
  readonly #memory: SnapshotMemory
  readonly #clocks: SnapshotClocks
  readonly #startedAtMs: number
  readonly #startedSteadyMs: number
  readonly #records: string[] = []
  /** What `entries` has returned. */
  readonly #entries = new Map<OpenDirectory, DirectoryEntries | undefined>()
  #unsettledMs = 0
  #aheadMs = 0

  constructor(memory: SnapshotMemory, clocks: SnapshotClocks = systemClocks, guard?: PathGuard) {
    this.guard = guard
    this.#memory = memory
    this.#clocks = clocks
    this.#startedAtMs = clocks.wall()
    this.#startedSteadyMs = clocks.steady()
  }

  /**
   * Returns a file's stat and records device, inode, size and timestamps; links are followed.
   * undefined: there is nothing that Git could read, which is recorded too.
   * @throws the system's error if even that cannot be known (EIO), RemotePath
   */
  stat(place: Place): BigIntStats | undefined {
    if (this.guard) this.#check(this.guard, place)
    const stats = this.#read(place, statSync)
    this.record(place, stats)
    return stats
  }

  /** Returns the stat of the file or link itself and does not record it: a caller may learn later whether it matters. */
  lstat(place: Place): BigIntStats | undefined {
    return this.#read(place, lstatSync)
  }

  /** The same as `lstat` by a name in a directory. A name that the directory does not have costs no system call. */
  lstatIn(directory: OpenDirectory, name: string): BigIntStats | undefined {
    const entries = this.entries(directory)
    return entries && !entries.has(name) ? undefined : this.lstat(directory.at(name))
  }

  /**
   * Returns the entries of a directory, remembered as long as its stat stays the same: an entry that is added, removed
   * or replaced moves the directory's timestamps. undefined: see `listEntries`.
   */
  entries(directory: OpenDirectory): DirectoryEntries | undefined {
    const known = this.#entries.get(directory)
    if (known || this.#entries.has(directory)) return known
    const place = directory.at('')
    const entries = this.derive('entries', place, directory.stats, () => listEntries(place.path))
    this.#entries.set(directory, entries)
    return entries
  }

  /** Records what `lstat` has returned. */
  record({ name }: Place, stats: BigIntStats | undefined): void {
    if (!stats) {
      this.recordText(`${name} -`)
      return
    }
    const known = this.#remember(name, stats)
    this.recordText(known.record)
    const unsettledMs = this.#unsettledMsOf(known)
    if (unsettledMs > this.#unsettledMs) this.#unsettledMs = unsettledMs
  }

  /** Records the same as `stat` for one of many files: nothing is derived from it, so it is not remembered if settled. */
  statOneOfMany(place: Place): void {
    const stats = this.#read(place, statSync)
    if (stats && this.#unsettledByWallClock(changedAtMs(stats), timestampGranularityMs(stats)) === 0)
      this.recordText(`${place.name} ${versionOf(stats)}`)
    else this.record(place, stats)
  }

  /** All that was recorded so far; grows with the snapshot. */
  get records(): readonly string[] {
    return this.#records
  }

  /** Records any text. */
  recordText(text: string): void {
    this.#records.push(text)
  }

  #check(guard: PathGuard, { name, real }: Place): void {
    if (real === name) guard.checkOnce(real)
    else if (real !== undefined) guard.check(real)
  }

  #read({ name, path }: Place, stat: typeof statSync): BigIntStats | undefined {
    try {
      return stat(path, statOptions)
    } catch (error) {
      this.#recordUnreadable(name, error)
      return undefined
    }
  }

  /** Git may not enter what this process may not enter: it counts as absent, as long as the error stays the same. */
  #recordUnreadable(name: string, error: unknown): void {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!isAbsent(error)) throw error
    this.recordText(`${name} ${code}`)
  }

  /** Records a file's bytes, for files whose stat may stay the same over a change. */
  recordContent({ name, path, real }: Place): void {
    if (this.guard && real !== undefined) this.guard.check(real)
    try {
      const isFile = statSync(path, { throwIfNoEntry: false })?.isFile()
      this.recordText(`${name} ${isFile ? readRegularFile(path).toString('latin1') : '-'}`)
    } catch (error) {
      this.#recordUnreadable(name, error)
    }
  }

  /**
   * Returns what `derive` makes of a file or directory, from memory if its stat has not changed since.
   * @param what the kind of value: several may be derived from one file
   */
  derive<T>(what: string, { name }: Place, stats: BigIntStats, derive: () => T): T {
    const known = this.#remember(name, stats)
    if (known.values?.has(what)) return known.values.get(what) as T
    const value = derive()
    // A change within the same tick would leave the same version: such a value may be used but not kept.
    if (this.#unsettledMsOf(known) === 0) (known.values ??= new Map<string, unknown>()).set(what, value)
    return value
  }

  /** Returns what is remembered of this version of a file, and forgets any other version. */
  #remember(name: string, stats: BigIntStats): RememberedFile {
    const known = this.#memory.get(name)
    if (known && isSameVersion(known.stats, stats)) return known
    const seen = new RememberedFile(name, stats, this.#clocks.steady())
    this.#memory.set(name, seen)
    return seen
  }

  /**
   * Returns the milliseconds until a version can be trusted. It can when its ctime is older than the timestamp's
   * granularity. It also can when it was first seen longer ago than that: what has changed since then has a later
   * timestamp, or, if the clock was put back, another one. So a timestamp in the future is distrusted that long as well,
   * and no longer.
   */
  #unsettledMsOf({ changedAtMs, granularityMs, seenAtMs }: RememberedFile): number {
    const byWallClock = this.#unsettledByWallClock(changedAtMs, granularityMs)
    if (byWallClock === 0) return 0
    const bySteadyClock = Math.max(0, seenAtMs + granularityMs - this.#startedSteadyMs)
    return Math.min(byWallClock, bySteadyClock)
  }

  /** ctime decides, because no program can set it: every change of a file or of a directory's names moves it to now. */
  #unsettledByWallClock(changedAtMs: number, granularityMs: number): number {
    if (changedAtMs - this.#startedAtMs > this.#aheadMs) this.#aheadMs = changedAtMs - this.#startedAtMs
    return Math.max(0, changedAtMs + 1 + granularityMs - this.#startedAtMs)
  }

  /** Returns the digest of all that was recorded so far. */
  digest(): string {
    return this.#memory.digestOf(this.#records)
  }

  /**
   * Milliseconds after which the same digest could be trusted; 0: it can be now. A timestamp younger than its granularity
   * cannot: another change might hide behind it (as in "racy git", Documentation/technical/racy-git.txt).
   */
  get unsettledMs(): number {
    return this.#unsettledMs
  }

  /** Milliseconds by which the youngest timestamp is ahead of the wall clock: more than a tick if that was put back. */
  get aheadMs(): number {
    return this.#aheadMs
  }
}
