import { createHash, type Hash } from 'node:crypto'
import { Blocks, blockSize } from './blocks.js'
import type { DiskFile } from './disk/disk-file.js'
import { Follower, type Followed } from './follower.js'
import type { Coolable, HotTier } from './hot-tier.js'
import type { Produced } from './retry.js'
import { Signal } from './signal.js'
import { Spill, type Spilled, type SpillEvents } from './disk/spill.js'

/** Bytes that may wait for the disk before the writer waits too. */
const maxUnwritten = 16 * 1024 * 1024

/** Milliseconds that bytes may be here before those who wait for more are told. */
const lingerMs = 10

export interface GrowingFileOptions extends SpillEvents {
  readonly hot: HotTier
  /** R3: how far, in bytes, the writer may be ahead of the fastest follower. */
  readonly maxLeadBytes: number
  /** A file of more bytes does not go to disk, or stays there no longer than it is read. */
  readonly maxStoredBytes?: number
  /** Told once that a file has more than `maxStoredBytes`; is to have its spill refuse() them. */
  readonly outgrown?: (file: GrowingFile) => void
  /** Told when a follower comes (1) or leaves (-1). */
  readonly followed?: (change: 1 | -1) => void
}

/**
 * One writer, many followers, each at its own offset:
 *
 *            0 ──────────────────────────── written ──────── length
 *   disk     [================================]
 *   memory   [      cooled blocks      |#######################]   (all that is not on disk is here)
 *   follower         ▲ cold: 32 KiB reads        ▲ hot: a view of a block      ▲ at the end: waits
 *
 * The writer never waits for a particular follower. It pauses only if even the fastest is `maxLeadBytes` behind, or
 * the disk is, and not for long: see unblock(). Without a disk (it failed, or there never was one) all stays in memory;
 * past `maxLeadBytes` the blocks that every follower has passed are dropped, nobody may join any more, and the slowest
 * sets the pace. What is on disk, and how it gets there, is the spill's business.
 */
export class GrowingFile implements Followed, Coolable, Spilled {
  /** Its file on disk, if there is one. */
  readonly spill: Spill
  readonly #options: GrowingFileOptions
  readonly #blocks: Blocks
  readonly #followers = new Set<Follower>()
  readonly #bytesCame = new Signal()
  readonly #roomCame = new Signal()
  #telling: NodeJS.Timeout | undefined
  /** Of what has been appended; a stored file has none. */
  #hash: Hash | undefined
  #sha256: string | undefined
  #state: 'growing' | 'complete' | 'failed' = 'growing'
  #error: unknown
  /** Do followers no longer set the writer's pace? */
  #hurried = false
  /** Is the beginning gone? */
  #trimmed = false

  /** The writer may begin before the disk's file is there: see Spill.storeOn. */
  constructor(options: GrowingFileOptions, blocks = new Blocks()) {
    this.#options = options
    this.#blocks = blocks
    this.spill = new Spill(this, blocks, options)
  }

  /** A file that an earlier process committed: on disk only, and not trusted before load() has checked it. */
  static stored(disk: DiskFile, length: number, sha256: string, options: GrowingFileOptions): GrowingFile {
    const file = new GrowingFile(options, Blocks.absent(length))
    file.spill.stored(disk)
    file.#state = 'complete'
    file.#sha256 = sha256
    return file
  }

  get length(): number {
    return this.#blocks.length
  }

  get size(): number | undefined {
    return this.#state === 'complete' ? this.length : undefined
  }

  get hotBytes(): number {
    return this.#blocks.bytes
  }

  /** SHA-256 of the whole file in hexadecimal, once it is complete. */
  get sha256(): string | undefined {
    return this.#sha256
  }

  /** Why it failed, if it has. */
  get error(): unknown {
    return this.#error
  }

  /** Would all of it go into memory? */
  get fits(): boolean {
    return this.length <= this.#options.hot.maxBytes
  }

  get followed(): boolean {
    return this.#followers.size > 0
  }

  /** May a new follower attach? Not if the beginning is gone. */
  get joinable(): boolean {
    return this.#state !== 'failed' && !this.#trimmed
  }

  // ---- the writer

  /** Adds bytes. Resolves when the writer may go on: at once unless it has to pause. No effect after the end. */
  async append(chunk: Buffer): Promise<void> {
    if (this.#state !== 'growing') return
    this.#hash ??= createHash('sha256')
    this.#hash.update(chunk)
    const before = this.length
    this.#blocks.append(chunk)
    this.#tell(before)
    if (this.spill.storing && this.length > (this.#options.maxStoredBytes ?? Infinity)) {
      this.#options.outgrown?.(this)
    }
    this.spill.flush()
    this.#options.hot.keep(this)
    while (this.#mustPause()) {
      // Those who are to make room must know of what there is.
      this.#tellNow()
      await this.#roomCame.wait()
    }
  }

  /**
   * Tells those who wait at the end: of the first bytes at once, and then of whole blocks, or after a short time. Git
   * writes a few kilobytes at a time, and one write to each of many clients costs little more for a block.
   */
  #tell(before: number): void {
    const block = Math.floor(before / blockSize)
    if (before === 0 || Math.floor(this.length / blockSize) > block) this.#tellNow()
    else this.#telling ??= setTimeout(() => this.#tellNow(), lingerMs)
  }

  #tellNow(): void {
    clearTimeout(this.#telling)
    this.#telling = undefined
    this.#bytesCame.notify()
  }

  /** What has been appended so far. */
  produced(): Produced {
    const hash = this.#hash?.copy() ?? createHash('sha256')
    return { length: this.length, sha256: hash.digest('hex') }
  }

  /** The sound end: followers may end. */
  complete(): void {
    if (this.#state !== 'growing') return
    this.#state = 'complete'
    this.#sha256 = (this.#hash ?? createHash('sha256')).digest('hex')
    this.#hash = undefined
    this.#blocks.seal()
    this.#options.hot.keep(this)
    this.#tellNow()
  }

  /** The bad end: every follower gets this error, wherever it is. */
  fail(error: unknown): void {
    if (this.#state !== 'growing') return
    this.#state = 'failed'
    this.#error = error
    this.spill.stop()
    this.#tellNow()
    this.#roomCame.notify()
  }

  /** Somebody waits for the end: from now on, followers do not hold up what goes to disk. */
  hurry(): void {
    this.#hurried = true
    this.#roomCame.notify()
  }

  /**
   * Lets a writer go on that has paused for too long: without the disk, if that takes nothing, else ahead of its
   * followers. false: there is no disk, and memory has no room for more.
   */
  unblock(): boolean {
    if (!this.spill.storing) return false
    if (this.spill.backlog > maxUnwritten) this.spill.fail(new Error('the disk takes no bytes'))
    this.hurry()
    return true
  }

  #mustPause(): boolean {
    if (this.#state !== 'growing') return false
    if (this.spill.storing && this.spill.backlog > maxUnwritten) return true
    const { maxLeadBytes } = this.#options
    if (this.length <= maxLeadBytes) return false
    let slowest = this.length
    let fastest = 0
    for (const { offset } of this.#followers) {
      slowest = Math.min(slowest, offset)
      fastest = Math.max(fastest, offset)
    }
    if (this.spill.storing) {
      return !this.#hurried && this.#followers.size > 0 && this.length - fastest > maxLeadBytes
    }
    this.#trimmed = true
    this.#blocks.dropUntil(slowest - (slowest % blockSize))
    return this.length - slowest > maxLeadBytes
  }

  // ---- the memory

  spilled(): void {
    this.#options.hot.keep(this)
    this.#roomCame.notify()
  }

  cool(): void {
    // The block that is being filled stays: the next append needs it.
    const filled = this.#state === 'growing' ? this.length - (this.length % blockSize) : this.length
    this.#blocks.dropUntil(Math.min(this.spill.written, filled))
  }

  /** Cools the file before its time. */
  release(): void {
    this.cool()
    this.#options.hot.keep(this)
  }

  forsaken(): void {
    this.#trimmed = true
    this.#blocks.dropUntil(this.length)
    this.#options.hot.forget(this)
  }

  // ---- the followers

  /** A new reader at byte 0. @throws the fill's error if it failed; an error if the beginning is gone */
  follow(): Follower {
    if (this.#state === 'failed') throw this.#error
    if (this.#trimmed) throw new Error('the beginning of this entry is gone')
    const follower = new Follower(this)
    this.#followers.add(follower)
    this.#options.followed?.(1)
    this.#options.hot.touch(this)
    return follower
  }

  read(offset: number): Buffer | null | Promise<Buffer | null> {
    if (this.#state === 'failed') throw this.#error
    if (offset < this.length) return this.#blocks.from(offset) ?? this.spill.read(offset)
    if (this.#state === 'complete') return null
    return this.#bytesCame.wait().then(() => this.read(offset))
  }

  /** Resolves at the sound end of the fill. @throws FillError if it failed */
  async end(): Promise<void> {
    while (this.#state === 'growing') await this.#bytesCame.wait()
    if (this.#state === 'failed') throw this.#error
  }

  advanced(): void {
    if (this.#state === 'growing') this.#roomCame.notify()
  }

  left(follower: Follower): void {
    this.#followers.delete(follower)
    this.#options.followed?.(-1)
    this.#roomCame.notify()
    this.spill.tidy()
  }
}
