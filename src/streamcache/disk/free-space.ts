import { statfs } from 'node:fs/promises'
import { DiskWatchdog } from './disk-watchdog.js'

/** What a filesystem has left for this user; undefined: the filesystem does not report it. */
export interface Free {
  readonly bytes: number | undefined
  readonly inodes: number | undefined
}

export interface FreeSpaceLimits {
  /** Bytes that the filesystem must have free for an entry to be stored. */
  readonly minFreeBytes: number
  /** The same for inodes. */
  readonly minFreeInodes: number
}

/** How long an answer is reused, in milliseconds: a storm of fills costs one statfs(2). */
const freshMs = 1000

/**
 * Keeps space free on the cache's filesystem for other programs: below a limit nothing more is stored, until there is
 * enough space again. Entries that are stored already stay.
 */
export class FreeSpace {
  readonly #directory: string
  readonly #limits: FreeSpaceLimits
  readonly #watchdog: DiskWatchdog
  readonly #changed: (short: Free | undefined) => void
  #answer: Promise<boolean> | undefined
  #askedAt = 0
  #short = false

  /** @param changed called when free space falls below a limit (with what is left), and when that is over (undefined) */
  constructor(
    directory: string,
    limits: FreeSpaceLimits,
    changed: (short: Free | undefined) => void,
    watchdog = new DiskWatchdog(),
  ) {
    this.#watchdog = watchdog
    this.#directory = directory
    this.#limits = limits
    this.#changed = changed
  }

  /** Was there too little when it was last queried? */
  get short(): boolean {
    return this.#short
  }

  /** May an entry be stored? Also true if the filesystem cannot be queried: then storing will fail with the reason. */
  enough(): Promise<boolean> {
    const now = performance.now()
    if (!this.#answer || now - this.#askedAt >= freshMs) {
      this.#askedAt = now
      this.#answer = this.#query()
    }
    return this.#answer
  }

  async #query(): Promise<boolean> {
    const { minFreeBytes, minFreeInodes } = this.#limits
    if (minFreeBytes <= 0 && minFreeInodes <= 0) return true
    const free = await this.#watchdog.run(() => freeOn(this.#directory)).catch(() => undefined)
    if (!free) return true
    const short = (free.bytes ?? Infinity) < minFreeBytes || (free.inodes ?? Infinity) < minFreeInodes
    if (short !== this.#short) {
      this.#short = short
      this.#changed(short ? free : undefined)
    }
    return !short
  }
}

/** Calls statfs(2). A total of 0 means "not counted": btrfs has no limit on inodes, some network filesystems report none. */
async function freeOn(directory: string): Promise<Free> {
  const { blocks, bavail, bsize, files, ffree } = await statfs(directory)
  return {
    bytes: blocks > 0 ? bavail * bsize : undefined,
    inodes: files > 0 ? ffree : undefined,
  }
}
