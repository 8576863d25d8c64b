import { setTimeout as sleep } from 'node:timers/promises'
import { CommittedEntries, type CommittedLimits, type EvictionReason } from './committed-entries.js'
import type { DiskFile } from './disk-file.js'
import { Entry, type FillLimits, type FillResult, type Source } from './entry.js'
import { FillError } from './fill-error.js'
import { encodeFooter } from './footer.js'
import { FreeSpace, type Free, type FreeSpaceLimits } from './free-space.js'
import { GrowingFile, type GrowingFileOptions } from './growing-file.js'
import { HotTier } from './hot-tier.js'
import { Store, type DiscardReason, type Found } from './store.js'

export interface StreamCacheOptions extends FillLimits, CommittedLimits, FreeSpaceLimits {
  /** Where entries are kept; made if need be. One process at a time. */
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
  storeFailed?(operation: 'open' | 'create' | 'write' | 'commit' | 'remove', error: unknown): void
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

/** A disk that does not answer must not hold up those who wait for the turn after this one. */
async function inTime<T>(work: Promise<T>, ms: number): Promise<T> {
  const late = new AbortController()
  const limit = sleep(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error('the disk does not answer')
  })
  try {
    return await Promise.race([work, limit])
  } finally {
    late.abort()
    limit.catch(() => {})
    work.catch(() => {})
  }
}

/**
 * The index of entries: at most one committed entry per key, the newest. Who may use it, and whether it is still
 * fresh, is its owner's business: a token is compared by the owner and only kept here.
 */
export class StreamCache {
  readonly #options: StreamCacheOptions
  readonly #hot: HotTier
  readonly #store: Store
  readonly #committed: CommittedEntries
  readonly #space: FreeSpace
  readonly #fills = new Map<Entry, Promise<FillResult>>()
  /** Files that are being made or removed. */
  readonly #chores = new Set<Promise<void>>()
  readonly #fileOptions: GrowingFileOptions
  readonly #sweeper: NodeJS.Timeout
  #followers = 0
  #closed = false

  private constructor(options: StreamCacheOptions) {
    this.#options = options
    this.#hot = new HotTier(options.hotMaxBytes)
    this.#store = new Store(options.directory)
    this.#space = new FreeSpace(options.directory, options, (short) => {
      if (short) options.events?.storeFull?.(short)
      else options.events?.storeResumed?.()
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
      outgrown: ({ spill }) => this.#chore(spill.refuse()),
      writeFailed: (error) => options.events?.storeFailed?.('write', error),
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
    try {
      const found = await cache.#store.scan((reason) => options.events?.discarded?.(reason))
      for (const each of found) cache.#adopt(each)
    } catch (error) {
      options.events?.storeFailed?.('open', error)
    }
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

  /** Throws away an entry that `load()` found damaged. */
  discard(entry: Entry): void {
    if (this.#committed.delete(entry)) this.#options.events?.discarded?.('corrupt')
  }

  /** Throws away a key's committed entry, sound as it is. */
  remove(key: string): void {
    this.#index.delete(key)
  }

  /**
   * Starts a fill at once, whatever else runs. With a token, and if `confirm` says true after the source has ended
   * (the state is still the token's), the entry is committed; in any other case it serves its followers only.
   */
  fill(key: string, token: string | undefined, source: Source, confirm: () => Promise<boolean>): Fill {
    const entry = new Entry(key, token, new GrowingFile(this.#fileOptions))
    this.#chore(this.#temporary().then((disk) => entry.file.spill.storeOn(disk)))
    if (this.#closed) entry.stop(new FillError('closed', 'the cache is closed'))
    const ended = entry
      .run(source, this.#options)
      .then(() => this.#conclude(entry, confirm))
      .finally(() => this.#fills.delete(entry))
    this.#fills.set(entry, ended)
    return { entry, ended }
  }

  async #temporary(): Promise<DiskFile | undefined> {
    try {
      if (!(await this.#space.enough())) return undefined
      return await this.#store.create()
    } catch (error) {
      this.#options.events?.storeFailed?.('create', error)
      return undefined
    }
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
    if (this.#committed.peek(key)?.token === token) return 'loser'
    const committedAt = Date.now()
    const footer = encodeFooter({ key, token, length: file.length, sha256, committedAt })
    if (!this.#committed.takes(file.length + footer.length)) return 'unstored'
    try {
      const size = await inTime(
        file.spill.commit(footer, this.#store.committedPath(key)),
        this.#options.fillSilenceMs,
      )
      if (size === undefined) return 'unstored'
      this.#committed.set(entry, size, committedAt)
      return 'committed'
    } catch (error) {
      this.#options.events?.storeFailed?.('commit', error)
      // Perhaps the directory has gone: the next entry shall find it.
      await this.#store.makeDirectories().catch(() => {})
      return 'unstored'
    }
  }

  #sweep(): void {
    this.#committed.purge()
    // Tells that there is room again even if nobody asks for anything.
    void this.#space.enough()
  }

  #abandon(entry: Entry): void {
    this.#chore(entry.file.spill.abandon())
  }

  /** Work on files that nobody waits for but close(). It rejects if a file could not be removed. */
  #chore(work: Promise<void>): void {
    const chore = work
      .catch((error: unknown) => this.#options.events?.storeFailed?.('remove', error))
      .finally(() => this.#chores.delete(chore))
    this.#chores.add(chore)
  }

  /** Stops what is running; committed entries stay on disk for the next process, and nothing else does. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    for (const entry of this.#fills.keys()) entry.stop(new FillError('closed', 'the cache is closing'))
    await Promise.all(this.#fills.values())
    await Promise.all(this.#chores)
  }
}
