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

/** Why a sound entry was dropped. `size`: more bytes than `maxBytes`; `entries`: more than `maxEntries`. */
export type EvictionReason = 'size' | 'entries' | 'age' | 'superseded'

interface Committed {
  readonly entry: Entry
  /** Bytes on disk, footer included. */
  readonly size: number
  /** When it could not be read, in milliseconds of the process's clock. */
  unreadAt?: number
}

/** For how long an entry that could not be read does not answer, in milliseconds. */
const restMs = 1000

/** The index of committed entries: the newest of each key, within the limits; the least recently used go first. */
export class CommittedEntries {
  readonly #limits: CommittedLimits
  readonly #index: LRUCache<string, Committed>

  /** @param dropped told of each entry that leaves, with the reason if it was sound */
  constructor(limits: CommittedLimits, dropped: (entry: Entry, reason?: EvictionReason) => void) {
    this.#limits = limits
    this.#index = new LRUCache({
      maxSize: Math.max(1, limits.maxBytes),
      sizeCalculation: ({ size }) => size,
      ttl: limits.maxAgeMs,
      dispose: ({ entry }, _key, reason) => {
        if (reason === 'evict') dropped(entry, this.#index.size > limits.maxEntries ? 'entries' : 'size')
        else if (reason === 'expire') dropped(entry, 'age')
        else if (reason === 'set') dropped(entry, 'superseded')
        else dropped(entry)
      },
    })
  }

  /** Of all entries on disk, footers included. */
  get bytes(): number {
    return this.#index.calculatedSize
  }

  get count(): number {
    return this.#index.size
  }

  /** Would an entry of that many bytes on disk be kept at all? */
  takes(size: number): boolean {
    return size <= this.#limits.maxBytes
  }

  /** The entry of a key, unless it rests. Counts as a use. */
  get(key: string): Entry | undefined {
    const held = this.#index.get(key)
    if (!held) return undefined
    const rests = held.unreadAt !== undefined && performance.now() - held.unreadAt < restMs
    return rests ? undefined : held.entry
  }

  /** Is there an entry of that state, which could be read whenever it was tried? */
  answers(key: string, token: string): boolean {
    const held = this.#index.peek(key)
    return held?.entry.token === token && held.unreadAt === undefined
  }

  /** The entry of a key, rested or not. Counts as no use. */
  peek(key: string): Entry | undefined {
    return this.#index.peek(key)?.entry
  }

  /** Drops the entry of a key, sound as it is. */
  remove(key: string): void {
    this.#index.delete(key)
  }

  /**
   * It could not be read, which proves nothing against it: it is tried again a second later, unless a fill has taken
   * its place by then, as one of the same state may.
   */
  rest(entry: Entry): void {
    const held = this.#index.peek(entry.key)
    if (held?.entry === entry) held.unreadAt = performance.now()
  }

  /**
   * @param size bytes on disk, which it takes()
   * @param committedAt milliseconds since 1970; the future counts as now. From here on the age is counted by a clock
   * that nobody can set.
   */
  set(entry: Entry, size: number, committedAt: number): void {
    const age = Math.max(0, Date.now() - committedAt)
    const ttl = Math.max(1, this.#limits.maxAgeMs - age)
    this.#index.set(entry.key, { entry, size }, { ttl })
    // Not by LRUCache's own `max`, which evicts for either reason without telling for which.
    while (this.#index.size > this.#limits.maxEntries) this.#index.pop()
  }

  /** @returns was it there? */
  delete(entry: Entry): boolean {
    return this.#index.peek(entry.key)?.entry === entry && this.#index.delete(entry.key)
  }

  /** Drops those that have reached their age. */
  purge(): void {
    this.#index.purgeStale()
  }
}
