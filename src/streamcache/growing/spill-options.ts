import type { SharedReads } from '../memory/shared-reads.js'

export interface SpillOptions {
  /** Bytes per read from disk, and per checksum; left out: 32 KiB. */
  readonly chunkSize?: number | undefined
  /** Shares what is read from disk among the followers; left out: each reads for itself. */
  readonly reads?: SharedReads | undefined

  /** Called once if the disk does not take more of this file. The file goes on in memory. */
  readonly writeFailed?: (error: unknown) => void
  /** Called when bytes cannot be read back from the disk. */
  readonly readFailed?: (error: unknown) => void
}

/** The owner of the bytes that go to disk; a GrowingFile is one. */
export interface Spilled {
  /** Is any follower attached now? */
  readonly followed: boolean
  /** SHA-256 of all bytes in hexadecimal, once they are complete. */
  readonly sha256: string | undefined
  /** Is the file small enough to be held in memory as a whole? */
  readonly fitsInMemory: boolean
  /** Called when more bytes are on disk, when the disk takes no more, and when bytes are back in memory. */
  spilled(): void
  /** Called when the file was abandoned and has no follower any more. */
  unreachable(): void
}
