import { CacheDirectory, type StoreOperation } from './disk/cache-directory.js'
import { CommittedEntries, type CommittedLimits, type EvictionReason } from './committed-entries.js'
import { Entry, type FillLimits, type FillResult, type Producer } from './entry.js'
import { FillError } from './fill-error.js'
import { encodeFooter } from './disk/footer.js'
import type { Free, FreeSpaceLimits } from './disk/free-space.js'
import { GrowingFile, type GrowingFileOptions } from './growing-file.js'
import { HotTier } from './hot-tier.js'
import type { DiscardReason, Found } from './disk/store.js'

export interface StreamCacheOptions extends FillLimits, CommittedLimits, FreeSpaceLimits {
  /** Where entries are kept; made if need be. Each process that uses it has a slot of its own in it, with own limits. */
  readonly directory: string
  /** Entries of more bytes are served and not stored; their bytes leave the disk as soon as that is known. */
  readonly maxEntryBytes: number
  /** Most bytes of entries in memory. */
  readonly hotMaxBytes: number
  /** How far in bytes a fill may be ahead of its fastest follower. */
  readonly maxLeadBytes: number
  readonly events?: StreamCacheEvents
}

/** What an owner may want to count or log. */
export interface StreamCacheEvents {
  evicted?(reason: EvictionReason): void
  discarded?(reason: DiscardReason): void
  storeFailed?(operation: StoreOperation, error: unknown): void
  /** The filesystem has less room than it must have: from now on, what is filled is served and not stored. */
  storeFull?(free: Free): void
  /** It has room again. */
  storeResumed?(): void
}

/** A fill that has started: its entry, to follow at once, and its end. */
export interface Fill {
  readonly entry: Entry
  /** Resolves when the source is done and the entry is committed or not. Never rejects. */
  readonly ended: Promise<FillResult>
}

const sweepMs = 60_000

/**
 * The entries, growing and committed: at most one committed entry per key, the newest. Who may use it, and whether it is still
 * fresh, is its owner's business: a token is compared by the owner and only kept here.
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
      failed: (operation, error) => this.#failed(operation, error),
      roomChanged: (short) => {
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
      outgrown: ({ spill }) => this.#directory.chore(spill, spill.refuse()),
      writeFailed: (error) => this.#failed('write', error),
      readFailed: (error) => this.#failed('read', error),
      followed: (change) => (this.#followers += change),
    }
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs).unref()
  }

  /**
   * Opens a cache over a directory and takes over the sound entries that an earlier process committed there. A
   * directory that cannot be used is reported to `events.storeFailed`, and entries are not kept until it can.
   */
  static async open(options: StreamCacheOptions): Promise<StreamCache> {
    const cache = new StreamCache(options)
    await cache.#directory.open()
    return cache
  }

  #adopt({ disk, footer, size }: Found): void {
    const file = GrowingFile.stored(disk, footer.length, footer.sha256, this.#fileOptions)
    const entry = new Entry(footer.key, footer.token, file)
    if (this.#committed.takes(size)) {
      this.#committed.set(entry, size, footer.committedAt)
    } else {
      // The store was larger once.
      this.#abandon(entry)
      this.#options.events?.evicted?.('size')
    }
  }

  /** Readers attached now. */
  get followers(): number {
    return this.#followers
  }

  /**
   * The part of the directory that this process has: 0, or more if others use it too. undefined as long as the
   * directory cannot be used.
   */
  get instance(): number | undefined {
    return this.#directory.instance
  }

  /** This process's part of the cache directory, where its owner may keep files too; undefined as above. */
  get ownDirectory(): string | undefined {
    return this.#directory.own
  }

  get storeBytes(): number {
    return this.#committed.bytes
  }

  get storeEntries(): number {
    return this.#committed.count
  }

  get hotBytes(): number {
    return this.#hot.bytes
  }

  /** The newest committed entry of a key. Before it is read, `load()` must have said true. */
  get(key: string): Entry | undefined {
    return this.#committed.get(key)
  }

  /**
   * Takes an entry back that `load()` refused. If it is damaged, it is thrown away; if the disk or the system failed, it
   * is tried again a second later.
   */
  discard(entry: Entry): void {
    if (!entry.file.spill.damaged) this.#committed.rest(entry)
    else if (this.#committed.delete(entry)) this.#options.events?.discarded?.('corrupt')
  }

  /** Throws away a key's committed entry, sound as it is. */
  remove(key: string): void {
    this.#committed.remove(key)
  }

  /**
   * The same for an entry that must not come back after a crash: unless somebody reads it now, its file has gone when
   * this returns. Waits for the disk, so it is not for the ordinary course of things.
   */
  erase(key: string): void {
    this.#committed.peek(key)?.file.spill.erase()
    this.#committed.remove(key)
  }

  /**
   * Starts a fill at once, whatever else runs. With a token, and if `confirm` says true after the source has ended
   * (the state is still the token's), the entry is committed; in any other case it serves its followers only.
   */
  fill(key: string, token: string | undefined, source: Producer, confirm: () => Promise<boolean>): Fill {
    const entry = new Entry(key, token, new GrowingFile(this.#fileOptions))
    const { spill } = entry.file
    this.#directory.chore(
      spill,
      this.#directory.create().then((disk) => spill.storeOn(disk)),
    )
    if (this.#closed) entry.stop(new FillError('closed', 'the cache is closed'))
    const ended = entry
      .run(source, this.#options)
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
    if (this.#committed.answers(key, token)) return 'loser'
    const committedAt = Date.now()
    const footer = encodeFooter({ key, token, length: file.length, sha256, committedAt })
    if (!this.#committed.takes(file.length + footer.length)) return 'unstored'
    const size = await this.#directory.commit(file.spill, footer, key)
    if (size === undefined) return 'unstored'
    this.#committed.set(entry, size, committedAt)
    return 'committed'
  }

  #sweep(): void {
    this.#committed.purge()
    this.#directory.sweep()
  }

  #abandon({ file: { spill } }: Entry): void {
    this.#directory.chore(spill, spill.abandon())
  }

  #failed(operation: StoreOperation, error: unknown): void {
    this.#options.events?.storeFailed?.(operation, error)
  }

  /** Stops what is running; committed entries stay on disk for the next process, and nothing else does. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    for (const entry of this.#fills.keys()) entry.stop(new FillError('closed', 'the cache is closing'))
    await Promise.all(this.#fills.values())
    await this.#directory.close()
  }
}
