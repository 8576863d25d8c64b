import { CommittedEntries, type CommittedLimits, type EvictionReason } from './committed-entries.js'
import { CacheDirectory, type StoreOperation } from './disk/cache-directory.js'
import type { Free, FreeSpaceLimits } from './disk/free-space.js'
import { encodeMetadata } from './disk/metadata.js'
import type { DiscardReason, StoredEntry } from './disk/store.js'
import { Entry, type FillLimits } from './entry.js'
import { FillError } from './fill-error.js'
import { GrowingFile, type GrowingFileOptions } from './growing-file.js'
import { HotTier } from './memory/hot-tier.js'
import type { Producer } from './producer.js'

export interface StreamCacheOptions extends FillLimits, CommittedLimits, FreeSpaceLimits {
  /**
   * Where entries are kept; created if it does not exist. Each process that uses it has an instance directory of its
   * own in it, with limits of its own.
   */
  readonly directory: string
  /** Entries of more bytes are served and not stored; their bytes leave the disk as soon as that is known. */
  readonly maxEntryBytes: number
  /** Most bytes of entries in memory. */
  readonly hotMaxBytes: number
  /** How far a fill may be ahead of its fastest follower, in bytes. */
  readonly maxLeadBytes: number
  readonly events?: StreamCacheEvents
}

/** Events to be counted or logged. */
export interface StreamCacheEvents {
  /** An intact entry was removed. */
  evicted?(reason: EvictionReason): void
  /** A file that cannot be used was removed. */
  discarded?(reason: DiscardReason): void
  /** An operation on the directory or on one of its files has failed. */
  storeFailed?(operation: StoreOperation, error: unknown): void
  /** The filesystem has less free space than required: from now on, what is filled is served and not stored. */
  storeFull?(free: Free): void
  /** The filesystem has enough free space again. */
  storeResumed?(): void
}

/**
 * How a fill ended. `committed`: kept for reuse. `unshared`: complete, but the state had changed; it served its followers
 * only. `loser`: another fill had already committed the same state. `unstored`: complete, but the disk failed or is
 * full, or the entry is too large for it. `failed`: the followers got an error.
 */
export type FillResult = 'committed' | 'unshared' | 'loser' | 'unstored' | 'failed'

/** A fill that has started. */
export interface Fill {
  /** May be followed at once. */
  readonly entry: Entry
  /** Resolves when the producer has ended and the entry is committed or not. Never rejects. */
  readonly ended: Promise<FillResult>
}

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
  readonly #sweeper: NodeJS.Timeout
  #followers = 0
  #closed = false

  private constructor(options: StreamCacheOptions) {
    this.#options = options
    this.#hot = new HotTier(options.hotMaxBytes)
    this.#directory = new CacheDirectory({
      ...options,
      operationMs: options.fillSilenceMs,
      found: (file) => this.#adopt(file),
      discarded: (reason) => options.events?.discarded?.(reason),
      failed: (operation, error) => this.#reportFailure(operation, error),
      spaceChanged: (short) => {
        if (short) options.events?.storeFull?.(short)
        else options.events?.storeResumed?.()
      },
    })
    this.#committed = new CommittedEntries(options, (entry, reason) => {
      if (this.#closed) return
      this.#abandon(entry)
      if (reason) options.events?.evicted?.(reason)
    })
    this.#fileOptions = {
      hot: this.#hot,
      maxLeadBytes: options.maxLeadBytes,
      maxStoredBytes: options.maxEntryBytes,
      outgrown: ({ spill }) => this.#directory.inBackground(spill, spill.unstore()),
      writeFailed: (error) => this.#reportFailure('write', error),
      readFailed: (error) => this.#reportFailure('read', error),
      followed: (change) => (this.#followers += change),
    }
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs).unref()
  }

  /**
   * Opens a cache over a directory and takes over the intact entries that an earlier process committed there. Never
   * rejects: a directory that cannot be used is reported to `events.storeFailed`, and entries are not stored until it
   * can be used.
   */
  static async open(options: StreamCacheOptions): Promise<StreamCache> {
    const cache = new StreamCache(options)
    await cache.#directory.open()
    return cache
  }

  #adopt({ disk, metadata, size }: StoredEntry): void {
    const file = GrowingFile.stored(disk, metadata.length, metadata.sha256, this.#fileOptions)
    const entry = new Entry(metadata.key, metadata.token, file)
    if (this.#committed.accepts(size)) {
      this.#committed.set(entry, size, metadata.committedAt)
    } else {
      // `maxBytes` was larger in an earlier process.
      this.#abandon(entry)
      this.#options.events?.evicted?.('size')
    }
  }

  /** Followers attached now. */
  get followers(): number {
    return this.#followers
  }

  /**
   * The number of this process's instance directory: 0, or more if other processes use the cache directory too.
   * undefined as long as the cache directory cannot be used.
   */
  get instance(): number | undefined {
    return this.#directory.instance
  }

  /** This process's instance directory, where its owner may keep files too; undefined as for `instance`. */
  get ownDirectory(): string | undefined {
    return this.#directory.own
  }

  /** Bytes of committed entries on disk. */
  get storeBytes(): number {
    return this.#committed.bytes
  }

  /** Committed entries. */
  get storeEntries(): number {
    return this.#committed.count
  }

  /** Bytes of entries in memory. */
  get hotBytes(): number {
    return this.#hot.bytes
  }

  /** Returns the newest committed entry of a key. It may be read only after its load() has returned true. */
  get(key: string): Entry | undefined {
    return this.#committed.get(key)
  }

  /**
   * Takes an entry back whose load() has returned false. If it is damaged, it is removed; if the disk or the system
   * failed, it is tried again a second later.
   */
  discard(entry: Entry): void {
    if (!entry.file.spill.damaged) this.#committed.suspend(entry)
    else if (this.#committed.delete(entry)) this.#options.events?.discarded?.('corrupt')
  }

  /** Removes the committed entry of a key, although it is intact. */
  remove(key: string): void {
    this.#committed.remove(key)
  }

  /**
   * Removes the committed entry of a key so that it cannot come back after a crash: unless a follower reads it now, its
   * file is gone when this returns. Blocks on the disk, so it is not for frequent use.
   */
  erase(key: string): void {
    this.#committed.peek(key)?.file.spill.erase()
    this.#committed.remove(key)
  }

  /**
   * Starts a fill at once, whatever other fills run. The entry is committed if it has a token, and if `confirm` resolves
   * to true after the producer has ended (the state is still the token's); otherwise it serves its followers only.
   */
  fill(key: string, token: string | undefined, producer: Producer, confirm: () => Promise<boolean>): Fill {
    const entry = new Entry(key, token, new GrowingFile(this.#fileOptions))
    const { spill } = entry.file
    this.#directory.inBackground(
      spill,
      this.#directory.create().then((disk) => spill.storeOn(disk)),
    )
    if (this.#closed) entry.stop(new FillError('closed', 'the cache is closed'))
    const ended = entry
      .run(producer, this.#options)
      .then(() => this.#conclude(entry, confirm))
      .finally(() => this.#fills.delete(entry))
    this.#fills.set(entry, ended)
    return { entry, ended }
  }

  async #conclude(entry: Entry, confirm: () => Promise<boolean>): Promise<FillResult> {
    const result = await this.#commit(entry, confirm)
    if (result !== 'committed') this.#abandon(entry)
    return result
  }

  async #commit(entry: Entry, confirm: () => Promise<boolean>): Promise<FillResult> {
    const { key, token, file } = entry
    const sha256 = file.sha256
    if (sha256 === undefined) return 'failed'
    if (token === undefined || !(await confirm().catch(() => false))) return 'unshared'
    if (this.#committed.has(key, token)) return 'loser'
    const committedAt = Date.now()
    const metadata = encodeMetadata({ key, token, length: file.length, sha256, committedAt })
    if (!this.#committed.accepts(file.length + metadata.length)) return 'unstored'
    const size = await this.#directory.commit(file.spill, metadata, key)
    if (size === undefined) return 'unstored'
    this.#committed.set(entry, size, committedAt)
    return 'committed'
  }

  #sweep(): void {
    this.#committed.purge()
    this.#directory.sweep()
  }

  #abandon({ file: { spill } }: Entry): void {
    this.#directory.inBackground(spill, spill.abandon())
  }

  #reportFailure(operation: StoreOperation, error: unknown): void {
    this.#options.events?.storeFailed?.(operation, error)
  }

  /** Stops the fills that run. Committed entries stay on disk for the next process; all other files are removed. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    for (const entry of this.#fills.keys()) entry.stop(new FillError('closed', 'the cache is closing'))
    await Promise.all(this.#fills.values())
    await this.#directory.close()
  }
}
