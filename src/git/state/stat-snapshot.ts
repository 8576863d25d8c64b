import { hash } from 'node:crypto'
import { lstatSync, opendirSync, statSync, type BigIntStats } from 'node:fs'
import { LRUCache } from 'lru-cache'
import { isAbsent, throwIfTransient } from '../filesystem/system-errors.js'
import type { OpenDirectory, Place } from '../filesystem/open-directory.js'
import { readRegularFile } from '../filesystem/read-file.js'
import type { PathGuard } from '../filesystem/path-guard.js'

/**
 * Milliseconds in which two changes may leave the same timestamp: Linux stamps files with the time of the last timer
 * tick, 10 ms at the coarsest (CONFIG_HZ=100); doubled for safety.
 */
const tickMs = 20
/** The same for filesystems that keep whole seconds only (two on FAT); their timestamps end in nine zeros. */
const coarseTickMs = 2000

/** What is remembered of a file or directory, as long as its inode has not changed. */
interface Remembered {
  readonly stats: BigIntStats
  readonly version: string
  /** When this version was seen first, by the process's own clock in milliseconds. */
  readonly seenAtMs: number
  /** What was worked out from it, by kind of value. */
  values: Map<string, unknown> | undefined
}

/** What is in a directory, by name. */
type Entries = ReadonlyMap<string, 'directory' | 'link' | 'other'>

/** Memory for what looks have seen and worked out; shared by all looks, bounded by number of files. */
export type SnapshotMemory = LRUCache<string, Remembered>

/** Counted by `maxSize`, so that it grows with what is remembered; `max` would lay out the room for all of it at once. */
export const createSnapshotMemory = (): SnapshotMemory =>
  new LRUCache({ maxSize: 50_000, sizeCalculation: () => 1 })

/** The clocks of a look, in milliseconds: the one that files are stamped by, and one that is never put back. */
export interface SnapshotClocks {
  readonly wall: () => number
  readonly steady: () => number
}

const systemClocks: SnapshotClocks = { wall: () => Date.now(), steady: () => performance.now() }

/**
 * One look at a repository on disk: collects what it sees into a digest, and knows whether that can be trusted.
 *
 * It uses synchronous calls: a stat of what the kernel has cached takes 2 µs so and 14 µs of CPU through the thread
 * pool, and an ordinary look is some twenty of them. Whoever looks at many files yields between them.
 */
export class StatSnapshot {
  /** Asked before anything is touched by a path that may lead elsewhere; undefined: there is nothing to fear. */
  readonly guard: PathGuard | undefined
  readonly #memory: SnapshotMemory
  readonly #clocks: SnapshotClocks
  readonly #startedAtMs: number
  readonly #startedSteadyMs: number
  /** Hashed all at once: many small updates of a hash cost more than what they hash. */
  readonly #seen: string[] = []
  /** As entries() tells them. */
  readonly #entries = new Map<OpenDirectory, Entries | undefined>()
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
   * Looks at a file or directory and takes device, inode, size and timestamps into the digest; links are followed.
   * undefined: there is none that Git could read, which is taken in too.
   * @throws the system's error if even that cannot be known (EIO), RemotePath
   */
  stat(place: Place): BigIntStats | undefined {
    if (this.guard) this.#check(this.guard, place)
    const stats = this.#read(place, statSync)
    this.take(place, stats)
    return stats
  }

  /** The same without following a link at the path's end. */
  lstat(place: Place): BigIntStats | undefined {
    const stats = this.peek(place)
    this.take(place, stats)
    return stats
  }

  /** The same as lstat(), without taking it into the digest: whether it decides anything is known later. */
  peek(place: Place): BigIntStats | undefined {
    return this.#read(place, lstatSync)
  }

  /** The same as peek() by a name in a directory. What is not there costs no system call. */
  peekIn(directory: OpenDirectory, name: string): BigIntStats | undefined {
    const entries = this.entries(directory)
    return entries && !entries.has(name) ? undefined : this.peek(directory.at(name))
  }

  /**
   * What is in a directory, remembered as long as that has not changed: an entry that comes, goes or is replaced moves
   * its timestamps. undefined: it may be entered but not be listed, or there is too much in it.
   */
  entries(directory: OpenDirectory): Entries | undefined {
    const known = this.#entries.get(directory)
    if (known || this.#entries.has(directory)) return known
    const place = directory.at('')
    const entries = this.derive('entries', place, directory.stats, () => listEntries(place.path))
    this.#entries.set(directory, entries)
    return entries
  }

  /** Takes into the digest what peek() has seen. */
  take({ name }: Place, stats: BigIntStats | undefined): void {
    if (!stats) {
      this.note(`${name} -`)
      return
    }
    const known = this.#know(name, stats)
    this.note(`${name} ${known.version}`)
    const unsettledMs = this.#unsettledMsOf(known)
    if (unsettledMs > this.#unsettledMs) this.#unsettledMs = unsettledMs
  }

  /** The same as stat() for one of many files, of which nothing is worked out and nothing need be remembered. */
  statOne(place: Place): void {
    const stats = this.#read(place, statSync)
    if (stats && this.#unsettledByWallClock(stats) === 0) this.note(`${place.name} ${versionOf(stats)}`)
    else this.take(place, stats)
  }

  /** Takes any text into the digest. */
  note(text: string): void {
    this.#seen.push(text)
  }

  #check(guard: PathGuard, { name, real }: Place): void {
    if (real === name) guard.checkOnce(real)
    else if (real !== undefined) guard.check(real)
  }

  #read({ name, path }: Place, stat: typeof statSync): BigIntStats | undefined {
    try {
      return stat(path, { bigint: true, throwIfNoEntry: false })
    } catch (error) {
      this.#unreadable(name, error)
      return undefined
    }
  }

  /** What we may not enter Git may not either: as good as absent, as long as it stays so. */
  #unreadable(name: string, error: unknown): void {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!isAbsent(error)) throw error
    this.note(`${name} ${code}`)
  }

  /** Takes a file's bytes into the digest, for files whose stat may stay the same over a change. */
  content({ name, path, real }: Place): void {
    if (this.guard && real !== undefined) this.guard.check(real)
    try {
      const isFile = statSync(path, { throwIfNoEntry: false })?.isFile()
      this.note(`${name} ${isFile ? readRegularFile(path).toString('latin1') : '-'}`)
    } catch (error) {
      this.#unreadable(name, error)
    }
  }

  /**
   * What `derive` makes of a file or directory: from memory if its inode has not changed since it was worked out.
   * `what` names the kind of value, since one file may be read for two reasons.
   */
  derive<T>(what: string, { name }: Place, stats: BigIntStats, derive: () => T): T {
    const known = this.#know(name, stats)
    if (known.values?.has(what)) return known.values.get(what) as T
    const value = derive()
    // A change within the same tick would leave the same version: such a value may be used but not kept.
    if (this.#unsettledMsOf(known) === 0) (known.values ??= new Map<string, unknown>()).set(what, value)
    return value
  }

  /** What is remembered of a file as it is now. */
  #know(name: string, stats: BigIntStats): Remembered {
    const known = this.#memory.get(name)
    if (known && isSame(known.stats, stats)) return known
    const seen = { stats, version: versionOf(stats), seenAtMs: this.#clocks.steady(), values: undefined }
    this.#memory.set(name, seen)
    return seen
  }

  /**
   * How long until a version can be trusted. It can when its timestamp is older than a tick. It also can when it has been
   * seen before, more than a tick ago: what has changed since then has a later timestamp, or, if the clock was put back,
   * another one. So a timestamp in the future is distrusted for a tick as well, and no longer.
   */
  #unsettledMsOf({ stats, seenAtMs }: Remembered): number {
    const byWallClock = this.#unsettledByWallClock(stats)
    if (byWallClock === 0) return 0
    const bySteadyClock = Math.max(0, seenAtMs + tickOf(stats) - this.#startedSteadyMs)
    return Math.min(byWallClock, bySteadyClock)
  }

  /** ctime decides, because nobody can set it: every change of a file or of a directory's names moves it to now. */
  #unsettledByWallClock(stats: BigIntStats): number {
    const changedAtMs = Number(stats.ctimeNs / 1_000_000n)
    if (changedAtMs - this.#startedAtMs > this.#aheadMs) this.#aheadMs = changedAtMs - this.#startedAtMs
    return Math.max(0, changedAtMs + 1 + tickOf(stats) - this.#startedAtMs)
  }

  /** The digest of all that was seen so far. */
  digest(): string {
    return hash('sha1', this.#seen.join('\0'), 'base64url')
  }

  /**
   * Milliseconds after which the same sight could be trusted; 0: it can be now. A timestamp as young as the clock's
   * tick cannot: another change might hide behind it (as in "racy git", Documentation/technical/racy-git.txt).
   */
  get unsettledMs(): number {
    return this.#unsettledMs
  }

  /** Milliseconds by which the youngest timestamp is ahead of the clock: more than a tick if the clock was put back. */
  get aheadMs(): number {
    return this.#aheadMs
  }
}

/** Names in a directory that are listed and remembered; a Git directory has a dozen. */
const entriesMax = 1000

/** undefined: it may not be listed, or has more than that. */
function listEntries(path: string | Buffer): Entries | undefined {
  try {
    const directory = opendirSync(path, { encoding: 'latin1' })
    try {
      const entries = new Map<string, 'directory' | 'link' | 'other'>()
      for (let entry = directory.readSync(); entry; entry = directory.readSync()) {
        if (entries.size >= entriesMax) return undefined
        const kind = entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'link' : 'other'
        entries.set(entry.name, kind)
      }
      return entries
    } finally {
      directory.closeSync()
    }
  } catch (error) {
    throwIfTransient(error)
    return undefined
  }
}

const versionOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`

const isSame = (a: BigIntStats, b: BigIntStats): boolean =>
  a.ctimeNs === b.ctimeNs &&
  a.mtimeNs === b.mtimeNs &&
  a.ino === b.ino &&
  a.size === b.size &&
  a.dev === b.dev

const tickOf = ({ ctimeNs }: BigIntStats): number => (ctimeNs % 1_000_000_000n === 0n ? coarseTickMs : tickMs)
