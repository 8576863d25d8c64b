import type { DiskFile } from '../disk/disk-file.js'
import { FollowedFile } from './followed-file.js'
import type { Follower } from './follower.js'
import { GrowingDigest } from './growing-digest.js'
import { Blocks, blockSize } from '../memory/blocks.js'
import type { GrowingFileOptions } from './growing-file-options.js'
import type { Coolable } from '../memory/hot-tier.js'
import { maxUnwritten, paceOf } from './pace.js'
import type { Produced } from '../fill/producer.js'
import type { Rope } from '../memory/rope.js'
import { RopeBody, type RopeOwner } from '../revisions/rope-body.js'
import { Spill } from './spill.js'
import type { Spilled } from './spill-options.js'

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
 * may join any more, and the slowest sets the pace: if it stops while others wait for it, it is closed with an error
 * (see Followers). What is on disk, and how it gets there, is the spill's part.
 * When a file that begins in memory goes to disk: see paceOf().
 */
export class GrowingFile extends FollowedFile implements Coolable, Spilled, RopeOwner {
  /** The disk half of this file; without a part if there is a `body`. */
  readonly spill: Spill
  #body: RopeBody | undefined
  readonly #options: GrowingFileOptions
  readonly #blocks: Blocks
  #digest: GrowingDigest
  /** May the writer go on without regard to followers? */
  #hurried = false
  /** Is it in memory only, because nothing has asked for the disk yet? */
  #unasked: boolean
  /** Is it about to leave memory for the disk? Then its bytes do not count as memory that others must give. */
  #leaving = false

  /** The writer may begin before the file on disk exists: see Spill.storeOn. */
  constructor(options: GrowingFileOptions, blocks = new Blocks()) {
    super(options)
    this.#options = options
    this.#blocks = blocks
    this.#unasked = options.store !== undefined
    this.#digest = new GrowingDigest(!this.#unasked)
    this.spill = new Spill(this, blocks, options, !this.#unasked)
  }

  /** Returns a file that another process committed: on disk only, and not trusted before load() has verified it. */
  static stored(disk: DiskFile, length: number, sha256: string, options: GrowingFileOptions): GrowingFile {
    const file = new GrowingFile(options, Blocks.absent(length))
    file.#unasked = false
    file.spill.adopt(disk)
    file.succeed()
    file.#digest = GrowingDigest.of(sha256)
    return file
  }

  /** Returns a file whose content is a rope that an earlier process stored. */
  static revised(length: number, options: GrowingFileOptions): GrowingFile {
    const file = new GrowingFile(options)
    file.#body = new RopeBody(file, length)
    file.succeed()
    return file
  }

  /** Its content if it is one rope, which is not in the blocks. */
  get body(): RopeBody | undefined {
    return this.#body
  }

  /** Bytes appended so far. */
  get length(): number {
    return this.#body?.length ?? this.#blocks.length
  }

  get hotBytes(): number {
    return this.#body?.bytes ?? this.#blocks.bytes
  }

  /** SHA-256 of the whole file in hexadecimal, once it is complete; none as long as it is in memory only. */
  get sha256(): string | undefined {
    if (!this.#body) return this.#digest.result
    return this.growing ? undefined : this.#body.sha256
  }

  /** Are all its bytes in memory, and none on disk? */
  get inMemoryOnly(): boolean {
    return this.#unasked && !this.trimmed
  }

  get fitsInMemory(): boolean {
    return this.length <= this.#options.hot.maxBytes
  }

  /** Adds bytes. Resolves when the writer may go on: at once unless it has to pause. No effect after the end. */
  async append(chunk: Buffer): Promise<void> {
    if (!this.growing) return
    this.#digest.append(chunk)
    const before = this.length
    if (before === 0) this.#options.create?.(this)
    this.#blocks.append(chunk)
    this.appended.grown(before, this.length)
    if (this.spill.storing) this.#grow(chunk.length)
    this.spill.flush()
    this.#options.hot.keep(this)
    while (this.#mustPause()) {
      // The writer waits for followers to read, so they must not wait for AppendSignal's timer.
      this.appended.notify()
      const needed = this.length - this.#options.maxLeadBytes
      await this.eased.wait(this.spill.storing ? undefined : this.followers.closeStalled(needed))
    }
  }

  /**
   * Makes a rope the whole content of a file that has no bytes yet, without copying it.
   * @returns false: it has bytes, has ended, or begins in memory until something asks for the disk
   */
  revise(rope: Rope): boolean {
    if (!this.growing || this.length > 0 || rope.length === 0 || this.#unasked) return false
    this.#body = new RopeBody(this, rope)
    this.#options.hot.keep(this)
    this.appended.grown(0, this.length)
    return true
  }

  #grow(bytes: number): void {
    if (this.#options.mayGrow?.(this, bytes) === false) this.#options.outgrown?.(this)
  }

  /** Length and digest of what has been appended so far. */
  produced(): Produced | Promise<Produced> {
    const { length } = this
    if (this.#body) return this.#body.digest().then((sha256) => ({ length, sha256 }))
    return { length, sha256: this.#digest.soFar }
  }

  /** Ends the file: its bytes are complete. */
  complete(): void {
    if (!this.growing) return
    this.succeed()
    if (this.length === 0) this.#options.create?.(this)
    this.#digest.end()
    this.#blocks.seal()
    this.#options.hot.keep(this)
    this.appended.notify()
  }

  /** Ends the file with an error, which every follower gets, wherever it is. */
  fail(error: unknown): void {
    if (!this.growing) return
    this.break(error)
    this.spill.stop()
    this.appended.notify()
    this.eased.notify()
  }

  /** From now on, followers do not hold up the writer as long as the bytes go to disk: another request needs the end. */
  hurry(): void {
    this.#hurried = true
    this.eased.notify()
  }

  /** From now on all its bytes are kept, on disk if they are too many for memory: its owner expects more followers. */
  retain(): void {
    this.followers.expectMore()
    this.eased.notify()
  }

  /** Has the bytes of a file in memory written to disk, from now on and from the first that are left. */
  store(): void {
    if (!this.#unasked) return
    this.#unasked = false
    this.hurry()
    const base = this.trimmed ? this.#blocks.start : 0
    if (base === 0) this.#digest.begin(this.#blocks.allFrom(0))
    if (this.size !== undefined) this.#digest.end()
    this.spill.begin(base)
    this.#options.store?.(this)
    this.#grow(this.length - base)
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
    if (!this.growing) return false
    const { length } = this
    const { maxLeadBytes } = this.#options
    const { storing, backlog } = this.spill
    const [hurried, unasked, trimmed, followers] = [
      this.#hurried,
      this.#unasked,
      this.trimmed,
      this.followers,
    ]
    const pace = paceOf({ length, maxLeadBytes, storing, backlog, hurried, unasked, trimmed, followers })
    if (pace === 'store') {
      this.store()
      return this.#mustPause()
    }
    if (pace !== 'trim') return pace === 'pause'
    const slowest = followers.slowest(length)
    this.trimmed = true
    this.#blocks.dropUntil(slowest - (slowest % blockSize))
    return length - slowest > maxLeadBytes
  }

  spilled(): void {
    if (!this.#leaving) this.#options.hot.keep(this)
    this.eased.notify()
  }

  changed(): void {
    this.#options.hot.keep(this)
  }

  cool(): void {
    if (this.#body) return this.#body.cool(true)
    if (this.inMemoryOnly && this.size !== undefined) {
      this.#leaving = true
      this.#options.displaced?.(this)
      return
    }
    if (this.spill.coolBorrowed()) return
    // The block that is being filled stays: the next append needs it.
    const filled = this.growing ? this.length - (this.length % blockSize) : this.length
    this.#blocks.dropUntil(Math.min(this.spill.written, filled))
  }

  /** Cools the file at once, before the hot tier asks for it. */
  release(): void {
    if (this.#body) return this.#body.cool(false)
    this.#leaving = false
    this.cool()
    this.#options.hot.keep(this)
  }

  unreachable(): void {
    this.trimmed = true
    this.#blocks.dropUntil(this.#blocks.length)
    this.#body?.drop()
    this.#options.hot.forget(this)
    this.#options.unreachable?.(this)
  }

  override follow(): Follower {
    const follower = super.follow()
    this.#options.hot.touch(this)
    return follower
  }

  protected bytesAt(offset: number): Buffer | Promise<Buffer> {
    return this.#body?.read(offset) ?? this.#blocks.from(offset) ?? this.spill.read(offset)
  }

  protected unfollowed(): void {
    this.#body?.settle()
    this.spill.closeIfUnread()
  }
}
