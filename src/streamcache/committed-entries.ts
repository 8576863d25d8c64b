import { LRUCache } from 'lru-cache'
import type { Entry } from './entry.js'

export interface CommittedLimits {
  /** Most bytes of committed entries on disk. */
  readonly maxBytes: number
  /** Most committed entries, at least 1. */
  readonly maxEntries: number
  /** Age in milliseconds at which a committed entry is dropped. */
  readonly maxAgeMs: number
}

/**
 * Why an intact entry was evicted. `size`: more bytes than `maxBytes`; `entries`: more entries than `maxEntries`; `age`:
 * `maxAgeMs` has passed; `superseded`: a newer entry of its key was committed; `memory`: it was in memory only, and had
 * one follower when memory was needed for others.
 */
export type EvictionReason = 'size' | 'entries' | 'age' | 'superseded' | 'memory'

interface Committed {
  readonly entry: Entry
  /** Bytes on disk, metadata included; 0: the file is another process's. */
  readonly size: number
  /** When it last could not be read, in milliseconds of performance.now(). */
  unreadableAt?: number
}

/** A committed entry that is in memory only. */
export interface InMemory {
  readonly entry: Entry
  /** In milliseconds since 1970. */
  readonly committedAt: number
}

/** How long an entry that could not be read is suspended, in milliseconds. */
const suspendMs = 1000

/** The index of committed entries: the newest entry of each key, within the limits; an LRU. */
export class CommittedEntries {
  readonly #limits: CommittedLimits
  readonly #index: LRUCache<string, Committed>
  #resizing: Entry | undefined
  #evicting = false
  #held = false
  /** Entries whose files other processes own. */
  #weightless = 0

  /** @param dropped called with each entry that leaves the index, and with the reason if it was evicted intact */
  constructor(limits: CommittedLimits, dropped: (entry: Entry, reason?: EvictionReason) => void) {
    this.#limits = limits
    this.#index = new LRUCache({
      // It evicts nothing by itself: see #evictExcess.
      maxSize: Number.MAX_SAFE_INTEGER,
      sizeCalculation: sizeInIndex,
      ttl: limits.maxAgeMs,
      // Otherwise it keeps the time for a millisecond, with a timer, which costs more than reading the clock.
      ttlResolution: 0,
      dispose: ({ entry, size }, _key, reason) => {
        if (entry === this.#resizing) return
        if (size === 0) this.#weightless--
        if (this.#evicting) dropped(entry, 'size')
        else if (reason === 'evict') dropped(entry, this.#index.size > limits.maxEntries ? 'entries' : 'size')
        else if (reason === 'expire') dropped(entry, 'age')
        else if (reason === 'set') dropped(entry, 'superseded')
        else dropped(entry)
      },
    })
  }

  /** Bytes of all entries on disk, metadata included, without files of other processes. */
  get bytes(): number {
    return this.#index.calculatedSize - this.#weightless
  }

  get count(): number {
    return this.#index.size
  }

  /** May an entry of that many bytes on disk be kept at all? */
  accepts(size: number): boolean {
    return size <= this.#limits.maxBytes
  }

  /** Returns the entry of a key, unless it is suspended. Counts as a use. */
  get(key: string): Entry | undefined {
    const held = this.#index.get(key)
    if (!held) return undefined
    const { unreadableAt } = held
    const suspended = unreadableAt !== undefined && performance.now() - unreadableAt < suspendMs
    return suspended ? undefined : held.entry
  }

  /** Is there an entry of that state, and was it readable each time? */
  has(key: string, token: string): boolean {
    const held = this.#index.peek(key)
    return held?.entry.token === token && held.unreadableAt === undefined
  }

  /** Returns the entry of a key, suspended or not. Does not count as a use. */
  peek(key: string): Entry | undefined {
    return this.#index.peek(key)?.entry
  }

  /** Returns the bytes that an entry counts with, if it is the one of its key. */
  sizeOf(entry: Entry): number | undefined {
    const held = this.#index.peek(entry.key)
    return held?.entry === entry ? held.size : undefined
  }

  /** Makes the entry of a key the most recently used one. */
  touch(key: string): void {
    this.#index.get(key)
  }

  /** Drops the entry of a key, although it is intact. */
  remove(key: string): void {
    this.#index.delete(key)
  }

  /**
   * Suspends an entry that could not be read, which is no proof of damage. It is tried again a second later, unless a
   * fill, also one of the same state, has replaced it by then.
   */
  suspend(entry: Entry): void {
    const held = this.#index.peek(entry.key)
    if (held?.entry === entry) held.unreadableAt = performance.now()
  }

  /**
   * Adds an entry, in place of an older one of its key, and evicts others to stay within the limits.
   * @param size bytes on disk, which accepts() has confirmed; 0: the file is another process's
   * @param committedAt milliseconds since 1970; a time in the future counts as now. From here on the age is measured
   * with the monotonic clock.
   */
  set(entry: Entry, size: number, committedAt: number): void {
    const age = Math.max(0, Date.now() - committedAt)
    const ttl = Math.max(1, this.#limits.maxAgeMs - age)
    this.#index.set(entry.key, { entry, size }, { ttl })
    if (size === 0) this.#weightless++
    if (!this.#held) this.evictExcess()
  }

  /** Evicts nothing because of the limits until release(): it is not known yet which entries are the oldest. */
  hold(): void {
    this.#held = true
  }

  release(): void {
    this.#held = false
  }

  /** Evicts the least recently used entries, so many at most, to stay within the limits. @returns whether that is done */
  evictExcess(most = Infinity): boolean {
    const { maxBytes, maxEntries } = this.#limits
    for (let evicted = 0; evicted < most; evicted++) {
      if (this.#index.calculatedSize <= Math.max(1, maxBytes) && this.#index.size <= maxEntries) return true
      this.#index.pop()
    }
    return false
  }

  /** Records another size in bytes of an entry, if it is still the one of its key. @returns whether it is */
  resize(entry: Entry, size: number): boolean {
    const held = this.#index.peek(entry.key)
    if (held?.entry !== entry) return false
    // 0 would mean that it never expires.
    const ttl = Math.max(1, this.#index.getRemainingTTL(entry.key))
    // LRUCache keeps the old size of a value that it already has. The new value is no reason to drop the entry.
    this.#resizing = entry
    this.#index.set(entry.key, { entry, size }, { ttl })
    this.#resizing = undefined
    if (!this.#held) this.evictExcess()
    return true
  }

  /**
   * Evicts the least recently used entries until the others have at most that many bytes. Those that are read stay: their
   * bytes would stay on disk too. @returns the bytes of all that are left
   */
  shrinkTo(bytes: number): number {
    if (this.bytes > bytes) {
      for (const key of [...this.#index.rkeys()]) {
        if (this.bytes <= bytes) break
        const held = this.#index.peek(key)
        if (held && held.size > 0 && !held.entry.followed) this.#evict(key)
      }
    }
    return this.bytes
  }

  #evict(key: string): void {
    this.#evicting = true
    this.#index.delete(key)
    this.#evicting = false
  }

  keys(): IterableIterator<string> {
    return this.#index.keys()
  }

  /** Drops this entry, if it is the one of its key. @returns whether it was */
  delete(entry: Entry): boolean {
    return this.#index.peek(entry.key)?.entry === entry && this.#index.delete(entry.key)
  }

  /** Drops the entries that are older than `maxAgeMs`. */
  purge(): void {
    this.#index.purgeStale()
  }
}

/** LRUCache takes no size of 0. */
const sizeInIndex = ({ size }: Committed): number => Math.max(1, size)
