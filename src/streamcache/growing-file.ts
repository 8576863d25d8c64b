import { createHash, type Hash } from 'node:crypto'
import { AppendSignal } from './append-signal.js'
import type { DiskFile } from './disk/disk-file.js'
import { Follower, type Followed } from './follower.js'
import { Blocks, blockSize } from './memory/blocks.js'
import type { Coolable, HotTier } from './memory/hot-tier.js'
import type { Produced } from './producer.js'
import { Signal } from './signal.js'
import { Spill, type Spilled, type SpillEvents } from './spill.js'

/** Bytes that may wait for the disk before the writer has to pause. */
const maxUnwritten = 16 * 1024 * 1024

export interface GrowingFileOptions extends SpillEvents {
  readonly hot: HotTier
  /** How far the writer may be ahead of the fastest follower (R3), in bytes. */
  readonly maxLeadBytes: number
  /** A file of more bytes is not kept on disk. */
  readonly maxStoredBytes?: number
  /** Called once a file has more than `maxStoredBytes`; must have its spill unstore() them. */
  readonly outgrown?: (file: GrowingFile) => void
  /** Called when a follower is attached (1) or detached (-1). */
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
 * The writer never waits for a particular follower. Back-pressure stops it only while even the fastest is `maxLeadBytes`
 * behind, or while the disk is behind, and not for long: see unblock(). Without a disk (it failed, or there never was
 * one) all bytes stay in memory; past `maxLeadBytes` the blocks that every follower has passed are dropped, no follower
 * may join any more, and the slowest sets the pace. What is on disk, and how it gets there, is the spill's part.
 */
export class GrowingFile implements Followed, Coolable, Spilled {
  /** The disk half of this file. */
  readonly spill: Spill
  readonly #options: GrowingFileOptions
  readonly #blocks: Blocks
  readonly #followers = new Set<Follower>()
  /** Notified when bytes were appended or the file has ended. */
  readonly #appended = new AppendSignal()
  /** Notified when the writer may no longer have to pause. */
  readonly #eased = new Signal()
  /** Of what has been appended; a stored file has none. */
  #hash: Hash | undefined
  #sha256: string | undefined
  #state: 'growing' | 'complete' | 'failed' = 'growing'
  #error: unknown
  /** May the writer go on without regard to followers? */
  #hurried = false
  /** Are the first bytes gone? */
  #trimmed = false

  /** The writer may begin before the file on disk exists: see Spill.storeOn. */
  constructor(options: GrowingFileOptions, blocks = new Blocks()) {
    this.#options = options
    this.#blocks = blocks
    this.spill = new Spill(this, blocks, options)
  }

  /** Returns a file that an earlier process committed: on disk only, and not trusted before load() has verified it. */
  static stored(disk: DiskFile, length: number, sha256: string, options: GrowingFileOptions): GrowingFile {
    const file = new GrowingFile(options, Blocks.absent(length))
    file.spill.adopt(disk)
    file.#state = 'complete'
    file.#sha256 = sha256
    return file
  }

  /** Bytes appended so far. */
  get length(): number {
    return this.#blocks.length
  }

  /** Total length in bytes, once the file is complete. */
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

  get fitsInMemory(): boolean {
    return this.length <= this.#options.hot.maxBytes
  }

  get followed(): boolean {
    return this.#followers.size > 0
  }

  /** May a new follower attach? Not if the first bytes are gone. */
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
    this.#appended.grown(before, this.length)
    if (this.spill.storing && this.length > (this.#options.maxStoredBytes ?? Infinity)) {
      this.#options.outgrown?.(this)
    }
    this.spill.flush()
    this.#options.hot.keep(this)
    while (this.#mustPause()) {
      // The writer waits for followers to read, so they must not wait for AppendSignal's timer.
      this.#appended.notify()
      await this.#eased.wait()
    }
  }

  /** Length and digest of what has been appended so far. */
  produced(): Produced {
    const hash = this.#hash?.copy() ?? createHash('sha256')
    return { length: this.length, sha256: hash.digest('hex') }
  }

  /** Ends the file: its bytes are complete. */
  complete(): void {
    if (this.#state !== 'growing') return
    this.#state = 'complete'
    this.#sha256 = (this.#hash ?? createHash('sha256')).digest('hex')
    this.#hash = undefined
    this.#blocks.seal()
    this.#options.hot.keep(this)
    this.#appended.notify()
  }

  /** Ends the file with an error, which every follower gets, wherever it is. */
  fail(error: unknown): void {
    if (this.#state !== 'growing') return
    this.#state = 'failed'
    this.#error = error
    this.spill.stop()
    this.#appended.notify()
    this.#eased.notify()
  }

  /** From now on, followers do not hold up the writer as long as the bytes go to disk: another request needs the end. */
  hurry(): void {
    this.#hurried = true
    this.#eased.notify()
  }

  /**
   * Lets a writer go on that has paused for too long: without the disk if the disk takes nothing, otherwise ahead of its
   * followers. false: it cannot, since there is no disk, and memory has no room for more.
   */
  unblock(): boolean {
    if (!this.spill.storing) return false
    if (this.spill.backlog > maxUnwritten) this.spill.fail(new Error('the disk accepts no more bytes'))
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
    this.#eased.notify()
  }

  cool(): void {
    // The block that is being filled stays: the next append needs it.
    const filled = this.#state === 'growing' ? this.length - (this.length % blockSize) : this.length
    this.#blocks.dropUntil(Math.min(this.spill.written, filled))
  }

  /** Cools the file at once, before the hot tier asks for it. */
  release(): void {
    this.cool()
    this.#options.hot.keep(this)
  }

  unreachable(): void {
    this.#trimmed = true
    this.#blocks.dropUntil(this.length)
    this.#options.hot.forget(this)
  }

  // ---- the followers

  /** Attaches a new reader at byte 0. @throws the fill's error if it failed; an error if the first bytes are gone */
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
    return this.#appended.wait().then(() => this.read(offset))
  }

  /** Resolves when the file is complete. @throws FillError if the fill failed */
  async end(): Promise<void> {
    while (this.#state === 'growing') await this.#appended.wait()
    if (this.#state === 'failed') throw this.#error
  }

  advanced(): void {
    if (this.#state === 'growing') this.#eased.notify()
  }

  detach(follower: Follower): void {
    this.#followers.delete(follower)
    this.#options.followed?.(-1)
    this.#eased.notify()
    this.spill.closeIfUnread()
  }
}
