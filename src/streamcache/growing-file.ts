import { createHash, type Hash } from 'node:crypto'
import { Blocks, blockSize } from './blocks.js'
import type { DiskFile } from './disk-file.js'
import { Follower, type Followed } from './follower.js'
import type { Coolable, HotTier } from './hot-tier.js'
import { Signal } from './signal.js'

/** Bytes per read from disk: what a follower behind the hot tier holds. */
const coldReadSize = 64 * 1024
/** Bytes that may wait for the disk before the writer waits too. */
const maxUnwritten = 16 * 1024 * 1024

export interface GrowingFileOptions {
  readonly hot: HotTier
  /** R3: how far, in bytes, the writer may be ahead of the fastest follower. */
  readonly maxLeadBytes: number
  /** Told once if the disk takes no more of this file; it goes on in memory. */
  readonly writeFailed?: (error: unknown) => void
  /** Told when a follower comes (1) or leaves (-1). */
  readonly followed?: (change: 1 | -1) => void
}

/**
 * One writer, many followers, each at its own offset:
 *
 *            0 ──────────────────────────── written ──────── length
 *   disk     [================================]
 *   memory   [      cooled blocks      |#######################]   (all that is not on disk is here)
 *   follower         ▲ cold: 64 KiB reads        ▲ hot: a view of a block      ▲ at the end: waits
 *
 * The writer never waits for a particular follower. It pauses only if even the fastest is `maxLeadBytes` behind, or
 * the disk is, and not for long: see unblock(). Without a disk (it failed, or there never was one) all stays in memory; past `maxLeadBytes` the blocks
 * that every follower has passed are dropped, nobody may join any more, and the slowest sets the pace.
 */
export class GrowingFile implements Followed, Coolable {
  readonly #options: GrowingFileOptions
  readonly #blocks: Blocks
  readonly #followers = new Set<Follower>()
  readonly #bytesCame = new Signal()
  readonly #roomCame = new Signal()
  /** Of what has been appended; a stored file has none. */
  #hash: Hash | undefined
  #sha256: string | undefined
  #disk: DiskFile | undefined
  /** Does the disk take what is appended, or will it once it is there? */
  #storing = true
  /** Bytes on disk, from 0 on. */
  #written = 0
  #flushing: Promise<void> | undefined
  #loading: Promise<boolean> | undefined
  /** Has this process made these bytes, or checked them against their checksum? */
  #verified = false
  #state: 'growing' | 'complete' | 'failed' = 'growing'
  #error: unknown
  /** Do followers no longer set the writer's pace? */
  #hurried = false
  /** Is the beginning gone? */
  #trimmed = false
  /** What becomes of the file after its end, once its owner has said so. */
  #fate: 'kept' | 'abandoned' | undefined

  /** The writer may begin before the disk's file is there: see storeOn(). */
  constructor(options: GrowingFileOptions, blocks = new Blocks()) {
    this.#options = options
    this.#blocks = blocks
  }

  /** A file that an earlier process committed: on disk only, and not trusted before load() has checked it. */
  static stored(disk: DiskFile, length: number, sha256: string, options: GrowingFileOptions): GrowingFile {
    const file = new GrowingFile(options, Blocks.absent(length))
    file.#disk = disk
    file.#state = 'complete'
    file.#fate = 'kept'
    file.#written = length
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

  /** May a new follower attach? Not if the beginning is gone. */
  get joinable(): boolean {
    return this.#state !== 'failed' && !this.#trimmed
  }

  // ---- the writer

  /**
   * The file on disk is there; undefined: there will be none, and all stays in memory. Resolves at once, or when an
   * abandoned file has been removed.
   */
  async storeOn(disk: DiskFile | undefined): Promise<void> {
    this.#disk = disk
    this.#storing = disk !== undefined
    this.#roomCame.notify()
    this.#flush()
    this.#tidy()
    if (this.#fate === 'abandoned') await disk?.unlink()
  }

  /** Adds bytes. Resolves when the writer may go on: at once unless it has to pause. No effect after the end. */
  async append(chunk: Buffer): Promise<void> {
    if (this.#state !== 'growing') return
    this.#hash ??= createHash('sha256')
    this.#hash.update(chunk)
    this.#blocks.append(chunk)
    this.#bytesCame.notify()
    this.#flush()
    this.#options.hot.keep(this)
    while (this.#mustPause()) await this.#roomCame.wait()
  }

  /** The sound end: followers may end. */
  complete(): void {
    if (this.#state !== 'growing') return
    this.#state = 'complete'
    this.#sha256 = (this.#hash ?? createHash('sha256')).digest('hex')
    this.#hash = undefined
    this.#verified = true
    this.#blocks.seal()
    this.#options.hot.keep(this)
    this.#bytesCame.notify()
  }

  /** The bad end: every follower gets this error, wherever it is. */
  fail(error: unknown): void {
    if (this.#state !== 'growing') return
    this.#state = 'failed'
    this.#error = error
    this.#bytesCame.notify()
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
    if (!this.#storing) return false
    if (this.length - this.#written > maxUnwritten) {
      this.#writeFailed(new Error('the disk takes no bytes'))
    }
    this.hurry()
    return true
  }

  #mustPause(): boolean {
    if (this.#state !== 'growing') return false
    if (this.#storing && this.length - this.#written > maxUnwritten) return true
    const { maxLeadBytes } = this.#options
    if (this.length <= maxLeadBytes) return false
    let slowest = this.length
    let fastest = 0
    for (const { offset } of this.#followers) {
      slowest = Math.min(slowest, offset)
      fastest = Math.max(fastest, offset)
    }
    if (this.#storing) {
      return !this.#hurried && this.#followers.size > 0 && this.length - fastest > maxLeadBytes
    }
    this.#trimmed = true
    this.#blocks.dropUntil(slowest - (slowest % blockSize))
    return this.length - slowest > maxLeadBytes
  }

  // ---- the disk

  /** Writes what memory has and disk has not; one write at a time, each as large as what came during the last. */
  #flush(): void {
    const unread = this.#fate === 'abandoned' && this.#followers.size === 0
    if (this.#flushing || !this.#disk || !this.#storing || this.#state === 'failed' || unread) return
    const end = this.length
    if (this.#written === end) return
    this.#flushing = this.#disk
      .write(this.#blocks.allFrom(this.#written), this.#written)
      .then(
        () => void (this.#written = end),
        (error: unknown) => this.#writeFailed(error),
      )
      .then(() => this.#flushed())
  }

  #writeFailed(error: unknown): void {
    this.#storing = false
    this.#options.writeFailed?.(error)
  }

  #flushed(): void {
    this.#flushing = undefined
    this.#options.hot.keep(this)
    this.#roomCame.notify()
    this.#flush()
    this.#tidy()
  }

  cool(): void {
    // The block that is being filled stays: the next append needs it.
    const filled = this.#state === 'growing' ? this.length - (this.length % blockSize) : this.length
    this.#blocks.dropUntil(Math.min(this.#written, filled))
  }

  /** Cools the file before its time. */
  release(): void {
    this.cool()
    this.#options.hot.keep(this)
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
    if (offset < this.length) return this.#blocks.from(offset) ?? this.#readCold(offset)
    if (this.#state === 'complete') return null
    return this.#bytesCame.wait().then(() => this.read(offset))
  }

  /** Resolves at the sound end of the fill. @throws FillError if it failed */
  async end(): Promise<void> {
    while (this.#state === 'growing') await this.#bytesCame.wait()
    if (this.#state === 'failed') throw this.#error
  }

  async #readCold(offset: number): Promise<Buffer> {
    if (!this.#disk) throw new Error('these bytes are neither in memory nor on disk')
    return this.#disk.read(offset, Math.min(coldReadSize, this.#written - offset))
  }

  advanced(): void {
    if (this.#state === 'growing') this.#roomCame.notify()
  }

  left(follower: Follower): void {
    this.#followers.delete(follower)
    this.#options.followed?.(-1)
    this.#roomCame.notify()
    this.#tidy()
  }

  // ---- after the fill

  /**
   * Gives a complete file its footer and its final name.
   * @returns its size in bytes on disk; undefined if the disk has failed before, which has been told
   * @throws if the disk fails now; in both cases the file is to be abandoned
   */
  async commit(footer: Buffer, path: string): Promise<number | undefined> {
    while (this.#storing && (!this.#disk || this.#written < this.length)) {
      this.#flush()
      await this.#roomCame.wait()
    }
    if (!this.#disk || !this.#storing) return undefined
    const size = this.length + footer.length
    await this.#disk.write([footer], this.length)
    await this.#disk.commit(path, size)
    this.#fate = 'kept'
    this.#tidy()
    return size
  }

  /**
   * Makes a kept file ready to answer: checks it against its checksum if this process has not made or checked it, and
   * brings it into memory if it fits. false: it is truncated or corrupt, and must not be served.
   */
  load(): boolean | Promise<boolean> {
    if (this.#verified && this.hotBytes >= this.length) return true
    const fits = this.length <= this.#options.hot.maxBytes
    this.#loading ??= (this.#verified && !fits ? this.#opens() : this.#readAll(fits))
      .catch(() => false)
      .finally(() => {
        this.#loading = undefined
        this.#tidy()
      })
    return this.#loading
  }

  async #opens(): Promise<boolean> {
    await this.#disk?.open()
    return true
  }

  async #readAll(keep: boolean): Promise<boolean> {
    if (!this.#disk) return false
    const hash = createHash('sha256')
    const blocks: Buffer[] = []
    for (let at = 0; at < this.length; at += blockSize) {
      const block = await this.#disk.read(at, Math.min(blockSize, this.length - at))
      hash.update(block)
      if (keep) blocks.push(block)
    }
    if (hash.digest('hex') !== this.#sha256) return false
    this.#verified = true
    if (keep) this.#blocks.fill(blocks)
    this.#options.hot.keep(this)
    return true
  }

  /** Nobody new will read this file: it goes from disk now, and from memory with its last follower. */
  async abandon(): Promise<void> {
    this.#fate = 'abandoned'
    // Those who read it now need its handle, since the name is about to go.
    if (this.#followers.size > 0) await this.#disk?.open().catch(() => {})
    try {
      await this.#disk?.unlink()
    } finally {
      this.#tidy()
    }
  }

  /** When the last follower has left: closes the handle, and frees the memory of what nobody will read again. */
  #tidy(): void {
    if (this.#followers.size > 0 || !this.#fate || this.#flushing || this.#loading) return
    this.#disk?.close()
    if (this.#fate === 'kept') return
    this.#trimmed = true
    this.#blocks.dropUntil(this.length)
    this.#options.hot.forget(this)
  }
}
