import type { CommittedLimits, EvictionReason } from './committed-entries.js'
import type { StoreOperation } from './disk/cache-directory.js'
import type { Free, FreeSpaceLimits } from './disk/free-space.js'
import type { DiscardReason } from './disk/stored-entry.js'
import type { Entry, FillLimits } from './entry.js'

export interface StreamCacheOptions extends FillLimits, CommittedLimits, FreeSpaceLimits {
  /**
   * Where entries are kept; created if it does not exist. Each process that uses it has an instance directory of its
   * own in it, with limits of its own.
   */
  readonly directory: string
  /** Entries of more bytes are served and not stored; their bytes leave the disk as soon as that is known. */
  readonly maxEntryBytes: number
  /** Most bytes of entries in memory. */
  readonly hotMaxBytes: number
  /** How far a fill may be ahead of its fastest follower, in bytes. */
  readonly maxLeadBytes: number
  /**
   * How long a follower may read nothing, in milliseconds, while others wait for it because the entry cannot be written to
   * disk. Then it is closed with an error; 5 seconds if left out.
   */
  readonly patienceMs?: number
  /**
   * Entries begin in memory, and are written to disk only if they are longer than `maxLeadBytes` and then shared, or if
   * their only follower lags: see GrowingFile. What is written while it grows counts against `maxBytes` too. Left out:
   * each entry is written to disk from its first byte.
   */
  readonly memoryFirst?: boolean
  /** Bytes per read of what has left memory: what a follower that is behind holds; left out: 32 KiB. */
  readonly coldReadBytes?: number
  /** How many such reads are kept for other followers of the same entry; left out: none. */
  readonly coldReadsShared?: number
  /**
   * How long no version of a revised entry must have come before its deltas on disk are merged into one file, in
   * milliseconds; left out: a minute.
   */
  readonly revisionQuietMs?: number
  readonly events?: StreamCacheEvents
}

/** What earlier processes left. */
export interface Restored {
  /** Entries that are intact, as far as their metadata tells. */
  readonly entries: number
  /** Milliseconds since the start of the scan. */
  readonly ms: number
}

/** Events to be counted or logged. */
export interface StreamCacheEvents {
  /** An intact entry was removed. */
  evicted?(reason: EvictionReason): void
  /** A file that cannot be used was removed. */
  discarded?(reason: DiscardReason): void
  /** What earlier processes left in the directory has been read; from now on the limits apply to it too. */
  restored?(restored: Restored): void
  /** An operation on the directory or on one of its files has failed. */
  storeFailed?(operation: StoreOperation, error: unknown): void
  /** A version of a revised entry was written as a delta of that many bytes. */
  revised?(bytes: number): void
  /** A version of a revised entry was written as a whole, of that many bytes: later ones are written as deltas to it. */
  rebased?(bytes: number): void
  /** The filesystem has less free space than required: from now on, what is filled is served and not stored. */
  storeFull?(free: Free): void
  /** The filesystem has enough free space again. */
  storeResumed?(): void
}

/**
 * How a fill ended. `committed`: kept for reuse. `unshared`: complete, but the state had changed; it served its followers
 * only. `loser`: another fill had already committed the same state. `unstored`: complete, but the disk failed or is
 * full, or the entry is too large for it, or its first bytes were not kept. `failed`: the followers got an error.
 */
export type FillResult = 'committed' | 'unshared' | 'loser' | 'unstored' | 'failed'

/** A committed body of another process that uses the same cache directory. */
export interface BorrowedBody {
  readonly path: string
  /** In bytes. */
  readonly length: number
  /** In hexadecimal. */
  readonly sha256: string
}

/** A fill that has started. */
export interface Fill {
  /** May be followed at once. */
  readonly entry: Entry
  /** Resolves when the producer has ended and the entry is committed or not. Never rejects. */
  readonly ended: Promise<FillResult>
}
