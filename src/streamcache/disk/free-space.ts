import { statfs } from 'node:fs/promises'
import { DiskWatch } from './disk-watch.js'

/** What a filesystem has left for this user; undefined: it does not count that. */
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

/** For how long an answer stands, in milliseconds: a storm of fills costs one look. */
const freshMs = 1000

/**
 * Leaves room on the cache's filesystem for those who share it: below a limit nothing more is stored, until there is
 * room again. What is stored already stays.
 */
export class FreeSpace {
  readonly #directory: string
  readonly #limits: FreeSpaceLimits
  readonly #watch: DiskWatch
  readonly #changed: (short: Free | undefined) => void
  #looked: Promise<boolean> | undefined
  #lookedAt = 0
  #short = false

  /** @param changed told when room begins to lack (and how much there is), and when it is back (undefined) */
  constructor(
    directory: string,
    limits: FreeSpaceLimits,
    changed: (short: Free | undefined) => void,
    watch = new DiskWatch(),
  ) {
    this.#watch = watch
    this.#directory = directory
    this.#limits = limits
    this.#changed = changed
  }

  /** May an entry be stored? True as well if the filesystem cannot be asked: then storing itself will tell why. */
  enough(): Promise<boolean> {
    const now = performance.now()
    if (!this.#looked || now - this.#lookedAt >= freshMs) {
      this.#lookedAt = now
      this.#looked = this.#look()
    }
    return this.#looked
  }

  async #look(): Promise<boolean> {
    const { minFreeBytes, minFreeInodes } = this.#limits
    if (minFreeBytes <= 0 && minFreeInodes <= 0) return true
    const free = await this.#watch.run(() => freeOn(this.#directory)).catch(() => undefined)
    if (!free) return true
    const short = (free.bytes ?? Infinity) < minFreeBytes || (free.inodes ?? Infinity) < minFreeInodes
    if (short !== this.#short) {
      this.#short = short
      this.#changed(short ? free : undefined)
    }
    return !short
  }
}

/** statfs(2). A total of 0 means "not counted": btrfs has no limit on inodes, and some network filesystems say nothing. */
async function freeOn(directory: string): Promise<Free> {
  const { blocks, bavail, bsize, files, ffree } = await statfs(directory)
  return {
    bytes: blocks > 0 ? bavail * bsize : undefined,
    inodes: files > 0 ? ffree : undefined,
  }
}
