import type { BorrowedBody, Fill, FillResult, StreamCacheOptions } from './cache-options.js'
import { CommittedEntries } from './committed-entries.js'
import { CacheDirectory, type StoreOperation } from './disk/cache-directory.js'
import { encodeMetadata } from './disk/metadata.js'
import { Entry } from './entry.js'
import { FillError } from './fill/fill-error.js'
import { GrowingFile } from './growing/growing-file.js'
import type { GrowingFileOptions, OwnedFile } from './growing/growing-file-options.js'
import { Growth } from './growing/growth.js'
import { InMemoryEntries } from './in-memory-entries.js'
import { HotTier } from './memory/hot-tier.js'
import { SharedReads } from './memory/shared-reads.js'
import type { RevisingProducer } from './fill/producer.js'
import { RestoredEntries } from './restored-entries.js'
import { RevisedEntries } from './revised-entries.js'

const sweepMs = 60_000

/**
 * The entries, growing and committed; at most one committed entry per key, the newest. Whether an entry is still fresh, and
 * which client may read it, is decided by the owner: a token is only stored here, and compared by the owner.
 */
export class StreamCache {
  readonly #options: StreamCacheOptions
  readonly #hot: HotTier
  readonly #directory: CacheDirectory
  readonly #committed: CommittedEntries
  readonly #fills = new Map<Entry, Promise<FillResult>>()
  readonly #fileOptions: GrowingFileOptions
  readonly #growth: Growth<OwnedFile>
  readonly #sweeper: NodeJS.Timeout
  readonly #inMemory: InMemoryEntries
  readonly #revised: RevisedEntries
  readonly #restored: RestoredEntries
  #followers = 0
  #closed = false

  private constructor(options: StreamCacheOptions) {
    this.#options = options
    this.#hot = new HotTier(options.hotMaxBytes)
    const failed = (operation: StoreOperation, error: unknown): void =>
      options.events?.storeFailed?.(operation, error)
    this.#directory = new CacheDirectory({
      ...options,
      operationMs: options.fillSilenceMs,
      found: (file) => this.#restored.add(this.#revised.restore(file, this.#fileOptions)),
      scanning: (isRunning) => this.#restored.scanning(isRunning),
      discarded: (reason) => options.events?.discarded?.(reason),
      failed,
      spaceChanged: (short) =>
        short ? options.events?.storeFull?.(short) : options.events?.storeResumed?.(),
    })
    this.#committed = new CommittedEntries(options, (entry, reason) => {
      if (this.#closed) return
      this.#abandon(entry)
      if (reason) options.events?.evicted?.(reason)
    })
    const [committed, directory, { events }] = [this.#committed, this.#directory, options]
    const abandon = (entry: Entry): void => this.#abandon(entry)
    this.#inMemory = new InMemoryEntries({
      ...{ hot: this.#hot, committed, directory },
      store: (entry, committedAt) => this.#store(entry, committedAt),
      abandon,
      evicted: (reason) => events?.evicted?.(reason),
    })
    this.#restored = new RestoredEntries({ committed, directory, events, abandon })
    const { maxEntryBytes, revisionQuietMs: quietMs } = options
    this.#revised = new RevisedEntries({ committed, directory, maxEntryBytes, events, failed, quietMs })
    this.#growth = new Growth({
      maxBytes: options.maxBytes,
      short: () => this.isShort,
      grown: () => this.#directory.checkSpace(),
      shrinkCommitted: (bytes) => this.#committed.shrinkTo(bytes),
    })
    this.#fileOptions = {
      hot: this.#hot,
      maxLeadBytes: options.maxLeadBytes,
      patienceMs: options.patienceMs,
      mayGrow: (file, bytes) => file.length <= options.maxEntryBytes && this.#makeRoom(file, bytes),
      outgrown: ({ spill }) => this.#directory.inBackground(spill, spill.unstore()),
      chunkSize: options.coldReadBytes,
      reads: options.coldReadsShared ? new SharedReads(options.coldReadsShared) : undefined,
      writeFailed: (error) => failed('write', error),
      readFailed: (error) => failed('read', error),
      followed: (change) => (this.#followers += change),
      unreachable: (file) => this.#growth.end(file),
      [options.memoryFirst ? 'store' : 'create']: (file: OwnedFile) => this.#createOnDisk(file),
      displaced: (file) => !this.#closed && this.#inMemory.displace(file),
    }
    this.#sweeper = setInterval(() => {
      this.#committed.purge()
      this.#directory.sweep()
    }, sweepMs).unref()
  }

  /**
   * Opens a cache over a directory and takes over the intact entries that an earlier process committed there: all can be
   * asked for as soon as they are listed, and are read in the background. Never rejects: a directory that cannot be used is reported to `events.storeFailed`, and entries are not stored until it
   * can be used.
   */
  static async open(options: StreamCacheOptions): Promise<StreamCache> {
    const cache = new StreamCache(options)
    await cache.#directory.open()
    return cache
  }

  /** Is there room on disk for a file that grows by that many bytes? Committed entries give way to it. */
  #makeRoom(file: OwnedFile, bytes: number): boolean {
    if (!this.#options.memoryFirst) return true
    // A committed entry that moves to disk is counted already.
    return this.#inMemory.has(file) ? !this.isShort : this.#growth.grow(file, bytes)
  }

  /** Followers attached now. */
  get followers(): number {
    return this.#followers
  }

  /** The number of this process's instance directory; undefined as long as the cache directory cannot be used. */
  get instance(): number | undefined {
    return this.#directory.instance
  }

  /** This process's instance directory, where its owner may keep files too; undefined as for `instance`. */
  get ownDirectory(): string | undefined {
    return this.#directory.own
  }

  /** Resolves when get() finds what earlier processes left; undefined: it does. Never rejects. */
  get listing(): Promise<void> | undefined {
    return this.#directory.listing
  }

  /** Resolves when all that earlier processes left is read, and the limits apply to it. Never rejects. */
  get restored(): Promise<void> {
    return this.#restored.ended
  }

  /** Bytes of committed entries on disk, as far as these have been read since the start. */
  get storeBytes(): number {
    return this.#committed.bytes
  }

  /** Has the filesystem too little free space? Then nothing more is stored. */
  get isShort(): boolean {
    return this.#directory.short
  }

  /** Committed entries that are known so far. */
  get storeEntries(): number {
    return this.#committed.count
  }

  /** Keys of the committed entries that are known so far. */
  keys(): IterableIterator<string> {
    return this.#committed.keys()
  }

  /** Bytes of entries in memory. */
  get hotBytes(): number {
    return this.#hot.bytes
  }

  /** Returns the newest committed entry of a key. It may be read only after its load() has returned true. */
  get(key: string): Entry | undefined {
    this.#restored.reach(key)
    return this.#committed.get(key)
  }

  /**
   * Takes an entry back whose load() has returned false. If it is damaged, it is removed; if the disk or the system
   * failed, it is tried again a second later.
   */
  discard(entry: Entry): void {
    if (!entry.damaged) this.#committed.suspend(entry)
    else if (this.#committed.delete(entry) && !entry.file.spill.borrowed)
      this.#options.events?.discarded?.('corrupt')
  }

  /**
   * Commits an entry whose body another process has committed in the same cache directory, and may remove at any time. It is
   * verified when it is loaded, never removed here, and does not count against `maxBytes`. Resolves with success.
   */
  async adopt(key: string, token: string, { path, length, sha256 }: BorrowedBody): Promise<boolean> {
    const found = await this.#directory.borrow(path, length)
    this.#restored.reach(key)
    if (found && !this.#closed && !this.#committed.has(key, token)) {
      const file = GrowingFile.stored(found.disk, length, sha256, this.#fileOptions)
      this.#committed.set(new Entry(key, token, file), 0, found.committedAt)
    }
    return this.#committed.has(key, token)
  }

  /** Removes the committed entry of a key, although it is intact. */
  remove(key: string): void {
    this.#restored.reach(key)
    this.#committed.remove(key)
  }

  /**
   * Removes the committed entry of a key so that it cannot come back after a crash: unless a follower reads it now, its
   * file is gone when this returns. Blocks on the disk, so it is not for frequent use.
   */
  erase(key: string): void {
    this.#restored.reachNow(key)
    const entry = this.#committed.peek(key)
    entry?.file.spill.erase()
    if (entry) this.#revised.erase(entry)
    this.#committed.remove(key)
  }

  /** Erases all keys for which `matches` is true. Blocks until the directory is read. */
  eraseAll(matches: (key: string) => boolean): void {
    this.#directory.reachAll()
    for (const key of [...this.keys()].filter(matches)) this.erase(key)
  }

  /**
   * Starts a fill at once, whatever other fills run. The entry is committed if it has a token, and if `confirm` resolves
   * to true after the producer has ended (the state is still the token's); otherwise it serves its followers only.
   * @param unread called when the last follower has left before the end
   */
  fill(
    key: string,
    token: string | undefined,
    producer: RevisingProducer,
    confirm: () => Promise<boolean>,
    unread?: () => void,
  ): Fill {
    const entry = new Entry(key, token, new GrowingFile({ ...this.#fileOptions, unread }))
    if (this.#closed) entry.stop(new FillError('closed', 'the cache is closed'))
    const ended = entry
      .run(producer, this.#options)
      .then(() => this.#conclude(entry, confirm))
      .finally(() => this.#fills.delete(entry))
    this.#fills.set(entry, ended)
    return { entry, ended }
  }

  #createOnDisk({ spill }: OwnedFile): void {
    const stored = this.#directory.create().then((disk) => spill.storeOn(disk))
    this.#directory.inBackground(spill, stored)
  }

  async #conclude(entry: Entry, confirm: () => Promise<boolean>): Promise<FillResult> {
    const result = await this.#commit(entry, confirm)
    entry.base = undefined
    if (result === 'committed') this.#growth.end(entry.file)
    else this.#abandon(entry)
    return result
  }

  async #commit(entry: Entry, confirm: () => Promise<boolean>): Promise<FillResult> {
    const { key, token, file } = entry
    if (file.size === undefined) return 'failed'
    // Its first bytes are gone. What another fill has made since is no loss to this one.
    if (this.#options.memoryFirst && !file.joinable) return 'unstored'
    if (token === undefined || !(await confirm().catch(() => false))) return 'unshared'
    this.#restored.reach(key)
    if (this.#committed.has(key, token)) return 'loser'
    const committedAt = Date.now()
    const size = file.body
      ? this.#revised.keep(entry, committedAt)
      : file.inMemoryOnly
        ? this.#inMemory.keep(entry, committedAt)
        : await this.#store(entry, committedAt)
    if (size === undefined) return 'unstored'
    this.#committed.set(entry, size, committedAt)
    return 'committed'
  }

  /** @returns the entry's bytes on disk; undefined: it could not be stored */
  async #store({ key, token, file }: Entry, committedAt: number): Promise<number | undefined> {
    const { sha256, length, spill } = file
    if (sha256 === undefined || token === undefined) return undefined
    const metadata = encodeMetadata({ key, token, length, sha256, committedAt })
    if (!this.#committed.accepts(length + metadata.length)) return undefined
    return this.#directory.commit(spill, metadata, key)
  }

  #abandon(entry: Entry): void {
    const { file } = entry
    this.#inMemory.forget(file)
    this.#revised.forget(entry)
    // Its bytes leave the disk with its last follower.
    if (file.followed) this.#growth.hold(file, file.spill.onDisk)
    this.#directory.inBackground(file.spill, file.spill.abandon())
  }

  /** Stops the fills that run. Committed entries stay on disk for the next process; all other files are removed. */
  async close(): Promise<void> {
    this.#closed = true
    this.#restored.close()
    clearInterval(this.#sweeper)
    for (const entry of this.#fills.keys()) entry.stop(new FillError('closed', 'the cache is closing'))
    await Promise.all(this.#fills.values())
    await this.#revised.close()
    await this.#directory.close()
  }
}
