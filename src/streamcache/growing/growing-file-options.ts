import type { HotTier } from '../memory/hot-tier.js'
import type { Spill } from './spill.js'
import type { SpillOptions } from './spill-options.js'

/** A growing file as its owner's callbacks see it; a GrowingFile is one. */
export interface OwnedFile {
  readonly spill: Spill
  /** Bytes so far. */
  readonly length: number
  /** Has more than one follower attached, or does its owner expect more? */
  readonly shared: boolean
}

export interface GrowingFileOptions extends SpillOptions {
  readonly hot: HotTier
  /** How far the writer may be ahead of the fastest follower (R3), in bytes. */
  readonly maxLeadBytes: number
  /**
   * How long a follower may read nothing, in milliseconds, while a writer without a disk waits for it and another follower
   * for the writer. Then it is closed with an error; 5 seconds if left out.
   */
  readonly patienceMs?: number | undefined
  /** Asks for room on disk for that many bytes more of a file; left out: there always is. */
  readonly mayGrow?: (file: OwnedFile, bytes: number) => boolean
  /** Called once there is no room for a file; must have its spill unstore() its bytes. */
  readonly outgrown?: (file: OwnedFile) => void
  /**
   * Creates the file on disk of a file that began in memory, and hands it to `spill.storeOn`; left out: files are on disk
   * from their first byte, or never.
   */
  readonly store?: (file: OwnedFile) => void
  /** Creates the file on disk, and hands it to `spill.storeOn`, with the first bytes or at the end; without `store`. */
  readonly create?: (file: OwnedFile) => void
  /** Called when memory has no room for a complete file that is not on disk. */
  readonly displaced?: (file: OwnedFile) => void
  /** Called when a follower is attached (1) or detached (-1). */
  readonly followed?: (change: 1 | -1) => void
  /** Called when an abandoned file has no follower any more. */
  readonly unreachable?: (file: OwnedFile) => void
  /** Called when the last follower has detached before the end of the file. */
  readonly unread?: (() => void) | undefined
}
