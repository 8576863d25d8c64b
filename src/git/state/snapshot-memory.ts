import type { BigIntStats } from 'node:fs'
import { LRUCache } from 'lru-cache'
import { entriesAtMost } from '../../limits/entries-at-most.js'

/** What is remembered of one version of a file or directory. */
export interface RememberedFile {
  readonly stats: BigIntStats
  /** See `versionOf`. */
  readonly version: string
  /** When this version was seen first, in milliseconds of the monotonic clock. */
  readonly seenAtMs: number
  /** Values derived from the file, by kind of value. */
  values: Map<string, unknown> | undefined
}

/** Files by `Place.name`: an LRU cache that all snapshots of a process share, bounded by the number of files. */
export type SnapshotMemory = LRUCache<string, RememberedFile>

/** Uses `maxSize`, with which the cache grows as it fills; `max` would allocate space for every entry at once. */
export const createSnapshotMemory = (): SnapshotMemory => new LRUCache(entriesAtMost(50_000))

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
