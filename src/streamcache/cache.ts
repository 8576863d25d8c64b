import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { DiskFile } from './disk-file.js'
import { Entry, type FillLimits, type FillResult, type Source } from './entry.js'
import { FillError } from './fill-error.js'
import { encodeFooter } from './footer.js'
import { GrowingFile, type GrowingFileOptions } from './growing-file.js'
import { HotTier } from './hot-tier.js'
import { Store, type DiscardReason, type Found } from './store.js'

export interface StreamCacheOptions extends FillLimits {
  /** Where entries are kept; made if need be. One process at a time. */
  readonly directory: string
  /** Most bytes of committed entries on disk. */
  readonly maxBytes: number
  /** Age in milliseconds at which a committed entry is dropped. */
  readonly maxAgeMs: number
  /** Most bytes of entries in memory. */
  readonly hotMaxBytes: number
  /** How far in bytes a fill may be ahead of its fastest follower. */
  readonly maxLeadBytes: number
  readonly events?: StreamCacheEvents
}

/** What an owner may want to count or log. */
export interface StreamCacheEvents {
  evicted?(reason: 'size' | 'age' | 'superseded'): void
  discarded?(reason: DiscardReason): void
  storeFailed?(operation: 'open' | 'create' | 'write' | 'commit' | 'remove', error: unknown): void
}

/** A fill that has started: its entry, to follow at once, and its end. */
export interface Fill {
  readonly entry: Entry
  /** Resolves when the source is done and the entry is committed or not. Never rejects. */
  readonly ended: Promise<FillResult>
}

interface Committed {
  readonly entry: Entry
  /** Bytes on disk, footer included. */
  readonly size: number
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
  readonly #index: LRUCache<string, Committed>
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
    this.#index = new LRUCache({
      maxSize: Math.max(1, options.maxBytes),
      sizeCalculation: ({ size }) => size,
      ttl: options.maxAgeMs,
      dispose: ({ entry }, _key, reason) => {
        if (this.#closed) return
        this.#abandon(entry)
        if (reason === 'evict') options.events?.evicted?.('size')
        if (reason === 'expire') options.events?.evicted?.('age')
        if (reason === 'set') options.events?.evicted?.('superseded')
      },
    })
    this.#fileOptions = {
      hot: this.#hot,
      maxLeadBytes: options.maxLeadBytes,
      writeFailed: (error) => options.events?.storeFailed?.('write', error),
      followed: (change) => (this.#followers += change),
    }
    this.#sweeper = setInterval(() => this.#index.purgeStale(), sweepMs).unref()
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
    if (size <= this.#options.maxBytes) {
      this.#keep(entry, size, footer.committedAt)
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
    return this.#index.calculatedSize
  }

  get storeEntries(): number {
    return this.#index.size
  }

  get hotBytes(): number {
    return this.#hot.bytes
  }

  /** The newest committed entry of a key. Before it is read, `load()` must have said true. */
  get(key: string): Entry | undefined {
    return this.#index.get(key)?.entry
  }

  /** Throws away an entry that `load()` found damaged. */
  discard(entry: Entry): void {
    if (this.#index.peek(entry.key)?.entry !== entry) return
    this.#index.delete(entry.key)
    this.#options.events?.discarded?.('corrupt')
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
    if (this.#index.peek(key)?.entry.token === token) return 'loser'
    const committedAt = Date.now()
    const footer = encodeFooter({ key, token, length: file.length, sha256, committedAt })
    if (file.length + footer.length > this.#options.maxBytes) return 'unstored'
    try {
      const size = await inTime(
        file.spill.commit(footer, this.#store.committedPath(key)),
        this.#options.fillSilenceMs,
      )
      if (size === undefined) return 'unstored'
      this.#keep(entry, size, committedAt)
      return 'committed'
    } catch (error) {
      this.#options.events?.storeFailed?.('commit', error)
      // Perhaps the directory has gone: the next entry shall find it.
      await this.#store.makeDirectories().catch(() => {})
      return 'unstored'
    }
  }

  #keep(entry: Entry, size: number, committedAt: number): void {
    const age = Math.max(0, Date.now() - committedAt)
    const ttl = Math.max(1, this.#options.maxAgeMs - age)
    this.#index.set(entry.key, { entry, size }, { ttl })
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
