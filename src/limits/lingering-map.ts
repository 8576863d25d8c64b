/** Entries at which a map is swept first. */
const sweepMin = 64

/**
 * A map of what is going on now, by key. An entry whose key has become idle stays until the map has grown to twice what was
 * not idle at the last sweep: to add and delete an entry with each request would have V8 make a new table every few
 * requests, and see `Line` for what that costs.
 */
export class LingeringMap<K, V> {
  readonly #entries = new Map<K, V>()
  readonly #isIdle: (value: V) => boolean
  #sweepAt = sweepMin

  /** @param isIdle returns whether an entry may be forgotten */
  constructor(isIdle: (value: V) => boolean) {
    this.#isIdle = isIdle
  }

  /** Entries, idle ones included. */
  get size(): number {
    return this.#entries.size
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  set(key: K, value: V): void {
    if (this.#entries.size >= this.#sweepAt) this.#sweep()
    this.#entries.set(key, value)
  }

  #sweep(): void {
    for (const [key, value] of this.#entries) if (this.#isIdle(value)) this.#entries.delete(key)
    this.#sweepAt = Math.max(sweepMin, 2 * this.#entries.size)
  }
}
