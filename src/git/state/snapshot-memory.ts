import { hash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { LRUCache } from 'lru-cache'
import { entriesAtMost } from '../../limits/entries-at-most.js'
import { timestampGranularityMs } from '../filesystem/timestamp-granularity.js'

/** What is remembered of one version of a file or directory. */
export class RememberedFile {
  readonly stats: BigIntStats
  /** What a snapshot records of it: the file's name, and `versionOf`. */
  readonly record: string
  /** When it was changed last, in milliseconds since 1970, and the granularity of that. */
  readonly changedAtMs: number
  readonly granularityMs: number
  /** When this version was seen first, in milliseconds of the monotonic clock. */
  readonly seenAtMs: number
  /** Values derived from the file, by kind of value. */
  values: Map<string, unknown> | undefined

  constructor(name: string, stats: BigIntStats, seenAtMs: number) {
    this.stats = stats
    this.record = `${name} ${versionOf(stats)}`
    this.changedAtMs = changedAtMs(stats)
    this.granularityMs = timestampGranularityMs(stats)
    this.seenAtMs = seenAtMs
  }
}

interface RememberedDigest {
  readonly records: readonly string[]
  readonly digest: string
}

/** Most records whose digest is remembered: more are rare, and would take much memory. */
const recordsMax = 64
/** A repository has one for its configuration and one for its refs, and may have one for its object store. */
const digestsPerRepository = 3

/**
 * What all snapshots of a process share: files by `Place.name`, in a cache that is bounded by their number, and digests. An
 * observation mostly finds what the one before it has found; then it makes no text anew, and hashes none.
 */
export class SnapshotMemory {
  readonly #files = new LRUCache<string, RememberedFile>(entriesAtMost(50_000))
  /** By the first record, which names a repository. */
  readonly #digests = new LRUCache<string, RememberedDigest[]>(entriesAtMost(2000))

  get(name: string): RememberedFile | undefined {
    return this.#files.get(name)
  }

  set(name: string, file: RememberedFile): void {
    this.#files.set(name, file)
  }

  /** Returns the digest of these records. */
  digestOf(records: readonly string[]): string {
    const [first] = records
    if (first === undefined || records.length > recordsMax) return digestOf(records)
    const known = this.#digests.get(first) ?? []
    const found = known.find((each) => isSame(each.records, records))
    if (found) return found.digest
    const digest = digestOf(records)
    this.#digests.set(first, [{ records: [...records], digest }, ...known.slice(0, digestsPerRepository - 1)])
    return digest
  }
}

/** Equal records mostly are the same string in memory, which comparing them begins with. */
function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}

/** Hashes all at once: many small updates of a hash cost more than what they hash. */
const digestOf = (records: readonly string[]): string => hash('sha1', records.join('\0'), 'base64url')

/** Returns the time of a file's last change in milliseconds since 1970. */
export const changedAtMs = ({ ctimeNs }: Pick<BigIntStats, 'ctimeNs'>): number => Number(ctimeNs / 1_000_000n)

/** Returns a text that is equal for equal versions of a file: device, inode, size, mtime and ctime. */
export const versionOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`

/** Compares what `versionOf` writes, without writing it. */
export const isSameVersion = (a: BigIntStats, b: BigIntStats): boolean =>
  a.ctimeNs === b.ctimeNs &&
  a.mtimeNs === b.mtimeNs &&
  a.ino === b.ino &&
  a.size === b.size &&
  a.dev === b.dev
