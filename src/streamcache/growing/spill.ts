import { CheckedFile } from '../disk/checked-file.js'
import { isDamage, type DiskFile } from '../disk/disk-file.js'
import type { Blocks } from '../memory/blocks.js'
import { Signal } from '../waiting/signal.js'
import type { Spilled, SpillOptions } from './spill-options.js'

/**
 * The disk half of a growing file: writes out what the blocks in memory have, reads back what has left them, and keeps or
 * removes the file as its owner decides. Bytes on disk have no gap. They begin at 0, unless the writing began when the
 * first bytes were gone already; such a file is never kept.
 */
export class Spill {
  readonly #owner: Spilled
  readonly #blocks: Blocks
  readonly #options: SpillOptions
  #file: CheckedFile | undefined
  /** Does the disk take what is appended, or will it once its file exists? */
  #storing: boolean
  /** Offset of the first byte on disk. */
  #base = 0
  #unstored = false
  #written = 0
  #damaged = false
  /** Are its bytes to leave memory as soon as followers can do without them? */
  #cooling = false
  #flushing: Promise<void> | undefined
  #loading: Promise<boolean> | undefined
  readonly #flushed = new Signal()
  /** What becomes of the file after its end, once the owner has decided. */
  #fate: 'kept' | 'abandoned' | undefined

  /**
   * Bytes may be appended before the file on disk exists: see storeOn().
   * @param storing false: nothing is written before begin()
   */
  constructor(owner: Spilled, blocks: Blocks, options: SpillOptions = {}, storing = true) {
    this.#owner = owner
    this.#blocks = blocks
    this.#options = options
    this.#storing = storing
  }

  /** Begins to write, from this offset on, as soon as storeOn() has handed over a file. */
  begin(base: number): void {
    this.#base = base
    this.#written = base
    this.#storing = true
    // The file is open until it is committed, also if its bytes were kept in memory before.
    if (this.#fate === 'kept') this.#fate = undefined
  }

  /** Keeps complete bytes in memory only. */
  keepInMemory(): void {
    this.#fate = 'kept'
  }

  /** Takes over a file that an earlier process committed, or another one. Its bytes are not trusted before load() has verified them. */
  adopt(disk: DiskFile): void {
    this.#file = new CheckedFile(disk, false, this.#options)
    this.#written = this.#blocks.length
    this.#fate = 'kept'
  }

  /** Do appended bytes still go to disk? */
  get storing(): boolean {
    return this.#storing
  }

  /** Where the bytes on disk end. */
  get written(): number {
    return this.#written
  }

  /** Bytes that this process has on disk. */
  get onDisk(): number {
    return this.borrowed ? 0 : this.#written - this.#base
  }

  /** Bytes that are not on disk yet. */
  get backlog(): number {
    return this.#blocks.length - this.#written
  }

  /**
   * Hands over the file on disk; undefined: there will be none. Resolves at once, or when a file that was abandoned
   * meanwhile has been removed.
   */
  async storeOn(disk: DiskFile | undefined): Promise<void> {
    if (disk) this.#file = new CheckedFile(disk, true, { ...this.#options, base: this.#base })
    this.#storing &&= disk !== undefined
    this.#progressed()
    if (this.#unstored || this.#fate === 'abandoned') await this.unlink()
  }

  /** Writes what is in memory and not on disk. One write at a time, each as large as what was appended during the last. */
  flush(): void {
    const unread = this.#fate === 'abandoned' && !this.#owner.followed
    if (this.#flushing || !this.#file || !this.#storing || unread) return
    const end = this.#blocks.length
    if (this.#written === end) return
    this.#flushing = this.#file
      .write(this.#blocks.allFrom(this.#written), this.#written)
      .then(
        () => {
          this.#written = end
        },
        (error: unknown) => this.fail(error),
      )
      .then(() => {
        this.#flushing = undefined
        this.#progressed()
      })
  }

  #progressed(): void {
    this.#flushed.notify()
    this.#owner.spilled()
    this.flush()
    this.closeIfUnread()
  }

  /** Stops writing after an error of the disk. What is on disk can still be read. */
  fail(error: unknown): void {
    this.stop()
    this.#options.writeFailed?.(error)
  }

  /**
   * Takes the file off the disk: its name is removed now; its bytes stay for the followers that need them, until the
   * file is abandoned and its handle closed. @throws if the name cannot be removed
   */
  async unstore(): Promise<void> {
    this.#unstored = true
    this.stop()
    await this.unlink()
  }

  /** Stops writing: the bytes will not be needed. */
  stop(): void {
    this.#storing = false
  }

  /**
   * Returns bytes at an offset that have left memory. They are compared with what was written, so that no follower gets
   * bytes that the disk has changed. @throws if the disk fails, or returns other bytes
   */
  async read(offset: number): Promise<Buffer> {
    if (!this.#file) throw new Error('these bytes are neither in memory nor on disk')
    if (!this.#file.covers(offset)) throw new Error('these bytes have not been verified')
    try {
      return await this.#file.read(offset)
    } catch (error) {
      // Damage also makes the next load() verify the whole file, and the cache discard it.
      // An abandoned file's handle is closed with its last follower, after which a failed read affects no client.
      if (this.#fate !== 'abandoned' || this.#owner.followed) this.#options.readFailed?.(error)
      throw error
    }
  }

  /**
   * Gives a complete file its metadata and its final name.
   * @returns the size of both in bytes on disk; undefined if the disk has failed before, which has been reported, or if the
   * file was abandoned meanwhile
   * @throws if the disk fails now; in both cases the file is to be abandoned
   */
  async commit(metadata: Buffer, path: string): Promise<number | undefined> {
    const isAbandoned = (): boolean => this.#fate === 'abandoned'
    while (this.#storing && !isAbandoned() && (!this.#file || this.backlog > 0)) {
      this.flush()
      await this.#flushed.wait()
    }
    if (!this.#file || !this.#storing || isAbandoned() || this.#base > 0) return undefined
    const size = await this.#file.commit(metadata, this.#blocks.length, path).catch((error: unknown) => {
      // Its name may be gone by now.
      if (!isAbandoned()) throw error
    })
    if (size === undefined || isAbandoned()) return undefined
    this.#fate = 'kept'
    this.closeIfUnread()
    return size
  }

  /** Hands a kept file over to another owner, who may remove it once this has resolved. */
  async passOn(): Promise<void> {
    const disk = this.#file?.disk
    disk?.disown()
    if (disk && this.#owner.followed) await this.#hold(disk)
  }

  /** Opens the file for followers, since its name may be removed. @returns false: it cannot be opened any more */
  async #hold(disk: DiskFile): Promise<boolean> {
    const isHeld = await disk.hold()
    // The last follower may have left before it was open.
    this.closeIfUnread()
    return isHeld
  }

  /** Does another process own the file, and remove it when it likes? */
  get borrowed(): boolean {
    return this.#file?.disk.borrowed ?? false
  }

  /** Where the body is on disk; undefined: it is in memory only, not committed, or abandoned. */
  get path(): string | undefined {
    return this.#fate === 'kept' ? this.#file?.disk.committedPath : undefined
  }

  /** Drops the bytes of another process's file from memory once it is open, if it is followed. @returns whether it is such a file */
  coolBorrowed(): boolean {
    const disk = this.#file?.disk
    if (!disk?.borrowed || !this.#owner.followed) return false
    this.#cooling = true
    void this.#hold(disk).then((isHeld) => isHeld && this.#dropAll())
    return true
  }

  #dropAll(): void {
    this.#cooling = false
    this.#blocks.dropUntil(this.#blocks.length)
  }

  /** Is it proved that the file is not what was committed? */
  get damaged(): boolean {
    return this.#damaged
  }

  /**
   * Makes a kept file ready to be read: verifies it if this process has neither written nor verified it, and reads it
   * into memory if it fits. false: it must not be served, because it is `damaged`, or because the disk or the system
   * fails now, which has been reported.
   */
  load(): boolean | Promise<boolean> {
    const inMemory = this.#blocks.bytes >= this.#blocks.length && !this.#cooling
    if (inMemory && (!this.#file || this.#file.verified)) return true
    this.#loading ??= this.#load()
      .catch((error: unknown) => {
        this.#damaged = isDamage(error)
        // A file of another process that is gone is no failure.
        const gone = (error as NodeJS.ErrnoException).code === 'ENOENT'
        if (this.borrowed ? !gone : !this.#damaged) this.#options.readFailed?.(error)
        return false
      })
      .finally(() => {
        this.#loading = undefined
        this.closeIfUnread()
      })
    return this.#loading
  }

  async #load(): Promise<boolean> {
    const file = this.#file
    if (!file) return false
    const { fitsInMemory } = this.#owner
    // Bytes that stay on disk may be changed there; then they must be verified again.
    if (file.verified && !fitsInMemory && (await file.isUntouched())) return true
    const blocks: Buffer[] = []
    await file.verify(this.#blocks.length, this.#owner.sha256, (block) => {
      if (fitsInMemory) blocks.push(block)
    })
    if (fitsInMemory) this.#blocks.fill(blocks)
    this.#owner.spilled()
    return true
  }

  /** Removes the file from disk before it returns, unless a follower reads it; for a file about to be abandoned. */
  erase(): void {
    if (this.#owner.followed) return
    try {
      this.#file?.disk.unlinkNow()
    } catch {
      // abandon() tries again, and reports a failure.
    }
  }

  /** Ends the use of this file: its name is removed from disk now, its bytes from memory with its last follower. */
  async abandon(): Promise<void> {
    this.#fate = 'abandoned'
    this.#flushed.notify()
    // Followers need an open handle, since the name is about to be removed.
    if (this.#owner.followed) await this.#file?.disk.open().catch(() => {})
    try {
      await this.unlink()
    } finally {
      this.closeIfUnread()
    }
  }

  /** Removes the file's name, again after a removal that failed. @throws if that fails */
  async unlink(): Promise<void> {
    await this.#file?.disk.unlink()
  }

  /** Closes the handle if no follower is left; call when one has left. */
  closeIfUnread(): void {
    if (this.#owner.followed || !this.#fate || this.#flushing || this.#loading) return
    this.#file?.disk.close()
    if (this.#cooling) this.#dropAll()
    if (this.#fate === 'abandoned') this.#owner.unreachable()
  }
}
