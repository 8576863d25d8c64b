import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { blockSize, type Blocks } from '../blocks.js'
import { ChunkSums } from './chunk-sums.js'
import { Damage, isDamage, type DiskFile } from './disk-file.js'
import { Signal } from '../signal.js'

export interface SpillEvents {
  /** Told once if the disk takes no more of this file; it goes on in memory. */
  readonly writeFailed?: (error: unknown) => void
  /** Told when the disk does not give back what it has. */
  readonly readFailed?: (error: unknown) => void
}

/** Whose bytes go to disk; a GrowingFile is one. */
export interface Spilled {
  /** Does anybody read it now? */
  readonly followed: boolean
  /** SHA-256 of all bytes in hexadecimal, once they are complete. */
  readonly sha256: string | undefined
  /** Would all of it go into memory? */
  readonly fits: boolean
  /** The disk has taken bytes, or takes no more; or they have come back into memory. */
  spilled(): void
  /** It was abandoned, and the last who read it has left. */
  forsaken(): void
}

/**
 * The disk's half of a growing file: writes out what the blocks in memory have, reads back what has left them, and
 * decides with its owner's word what becomes of the file. Bytes on disk always begin at 0 and have no gap.
 */
export class Spill {
  readonly #owner: Spilled
  readonly #blocks: Blocks
  readonly #events: SpillEvents
  #disk: DiskFile | undefined
  /** Does the disk take what is appended, or will it once it is there? */
  #storing = true
  #refused = false
  #written = 0
  /** Of the bytes on disk, as far as they are written and verified. */
  #sums = new ChunkSums()
  /** Has this process made these bytes, or checked them against their checksum? */
  #verified = true
  #damaged = false
  #flushing: Promise<void> | undefined
  #loading: Promise<boolean> | undefined
  readonly #flushed = new Signal()
  /** What becomes of the file after its end, once its owner has said so. */
  #fate: 'kept' | 'abandoned' | undefined

  /** Bytes may come before the disk's file is there: see storeOn(). */
  constructor(owner: Spilled, blocks: Blocks, events: SpillEvents = {}) {
    this.#owner = owner
    this.#blocks = blocks
    this.#events = events
  }

  /** All bytes are in a file that an earlier process committed; they are not trusted before load() has checked them. */
  stored(disk: DiskFile): void {
    this.#disk = disk
    this.#written = this.#blocks.length
    this.#verified = false
    this.#fate = 'kept'
  }

  get storing(): boolean {
    return this.#storing
  }

  /** Bytes on disk, from 0 on. */
  get written(): number {
    return this.#written
  }

  /** Bytes that wait for the disk. */
  get backlog(): number {
    return this.#blocks.length - this.#written
  }

  /**
   * The file on disk is there; undefined: there will be none. Resolves at once, or when an abandoned file has been
   * removed.
   */
  async storeOn(disk: DiskFile | undefined): Promise<void> {
    this.#disk = disk
    this.#storing &&= disk !== undefined
    this.#moved()
    if (this.#refused || this.#fate === 'abandoned') await this.unlink()
  }

  /** Writes what memory has and disk has not; one write at a time, each as large as what came during the last. */
  flush(): void {
    const unread = this.#fate === 'abandoned' && !this.#owner.followed
    if (this.#flushing || !this.#disk || !this.#storing || unread) return
    const end = this.#blocks.length
    if (this.#written === end) return
    const views = this.#blocks.allFrom(this.#written)
    this.#flushing = this.#disk
      .write(views, this.#written)
      .then(
        () => {
          for (const view of views) this.#sums.append(view)
          this.#written = end
        },
        (error: unknown) => this.fail(error),
      )
      .then(() => {
        this.#flushing = undefined
        this.#moved()
      })
  }

  #moved(): void {
    this.#flushed.notify()
    this.#owner.spilled()
    this.flush()
    this.tidy()
  }

  /** The disk takes no more; what it has can still be read. */
  fail(error: unknown): void {
    this.#storing = false
    this.#events.writeFailed?.(error)
  }

  /**
   * The disk shall not have this file. Its name goes now; its bytes stay for those who need them, and go with its
   * handle when it is abandoned. @throws if the name cannot be removed
   */
  async refuse(): Promise<void> {
    this.#refused = true
    this.stop()
    await this.unlink()
  }

  /** No more bytes are worth writing. */
  stop(): void {
    this.#storing = false
  }

  /**
   * Bytes at an offset that have left memory. They are the ones that were written, wherever the disk has them from.
   * @throws if the disk fails, or gives other bytes back
   */
  async read(offset: number): Promise<Buffer> {
    if (!this.#disk) throw new Error('these bytes are neither in memory nor on disk')
    const { start, length, sum } = this.#sums.chunkAt(offset)
    if (start + length <= offset) throw new Error('these bytes have not been checked')
    try {
      const chunk = await this.#disk.read(start, length)
      if (crc32(chunk) !== sum) throw new Damage('the disk has other bytes than were written')
      return chunk.subarray(offset - start)
    } catch (error) {
      // The next who wants it has all of it checked, and thrown away if it is damaged.
      if (isDamage(error)) this.#verified = false
      // The handle of an abandoned file goes with its last reader, and its name is gone: then nobody misses these bytes.
      if (this.#fate !== 'abandoned' || this.#owner.followed) this.#events.readFailed?.(error)
      throw error
    }
  }

  /**
   * Gives a complete file its footer and its final name.
   * @returns its size in bytes on disk; undefined if the disk has failed before, which has been told
   * @throws if the disk fails now; in both cases the file is to be abandoned
   */
  async commit(footer: Buffer, path: string): Promise<number | undefined> {
    while (this.#storing && (!this.#disk || this.backlog > 0)) {
      this.flush()
      await this.#flushed.wait()
    }
    if (!this.#disk || !this.#storing) return undefined
    const length = this.#blocks.length
    const size = length + footer.length
    await this.#disk.write([footer], length)
    await this.#disk.commit(path, size)
    this.#fate = 'kept'
    this.tidy()
    return size
  }

  /** Is it proved that the file is not what was committed? */
  get damaged(): boolean {
    return this.#damaged
  }

  /**
   * Makes a kept file ready to answer: checks it against its checksum if this process has not made or checked it, and
   * brings it into memory if it fits. false: it must not be served, because it is `damaged`, or because the disk or the
   * system fails now, which has been told.
   */
  load(): boolean | Promise<boolean> {
    if (this.#verified && this.#blocks.bytes >= this.#blocks.length) return true
    this.#loading ??= this.#load()
      .catch((error: unknown) => {
        this.#damaged = isDamage(error)
        if (!this.#damaged) this.#events.readFailed?.(error)
        return false
      })
      .finally(() => {
        this.#loading = undefined
        this.tidy()
      })
    return this.#loading
  }

  async #load(): Promise<boolean> {
    const { fits } = this.#owner
    if (this.#verified && !fits) {
      // The bytes stay on disk, where somebody may have put others; then these must be checked as well.
      const same = await this.#disk?.untouched().catch((error: unknown) => {
        if (!isDamage(error)) throw error
      })
      if (same) return true
    }
    return this.#readAll(fits)
  }

  async #readAll(intoMemory: boolean): Promise<boolean> {
    if (!this.#disk) return false
    await this.#disk.trustAnew()
    const { length } = this.#blocks
    const hash = createHash('sha256')
    const sums = new ChunkSums()
    const blocks: Buffer[] = []
    for (let at = 0; at < length; at += blockSize) {
      const block = await this.#disk.read(at, Math.min(blockSize, length - at))
      hash.update(block)
      sums.append(block)
      if (intoMemory) blocks.push(block)
    }
    if (hash.digest('hex') !== this.#owner.sha256) throw new Damage('its checksum is another')
    this.#verified = true
    this.#sums = sums
    if (intoMemory) this.#blocks.fill(blocks)
    this.#owner.spilled()
    return true
  }

  /** The file of what is about to be abandoned goes from disk before this returns, unless somebody reads it now. */
  erase(): void {
    if (this.#owner.followed) return
    try {
      this.#disk?.unlinkNow()
    } catch {
      // abandon() tries again, and tells.
    }
  }

  /** Nobody new will read this file: it goes from disk now, and from memory with its last follower. */
  async abandon(): Promise<void> {
    this.#fate = 'abandoned'
    // Those who read it now need its handle, since the name is about to go.
    if (this.#owner.followed) await this.#disk?.open().catch(() => {})
    try {
      await this.unlink()
    } finally {
      this.tidy()
    }
  }

  /** Tries again to remove the name of a file that was refused or abandoned. @throws if that fails again */
  async unlink(): Promise<void> {
    await this.#disk?.unlink()
  }

  /** When the last follower has left, closes the handle; call when one has. */
  tidy(): void {
    if (this.#owner.followed || !this.#fate || this.#flushing || this.#loading) return
    this.#disk?.close()
    if (this.#fate === 'abandoned') this.#owner.forsaken()
  }
}
