import { LRUCache } from 'lru-cache'

/** A file whose bytes are in memory and, at least in part, on disk as well. */
export interface Coolable {
  /** Bytes in memory now. */
  readonly hotBytes: number
  /** Drops from memory all bytes that are on disk. */
  cool(): void
}

/**
 * The memory budget that all entries share: an LRU that cools the least recently used files first. Bytes that are not on
 * disk yet stay in memory even over the budget; the back-pressure on each writer bounds them.
 */
export class HotTier {
  readonly maxBytes: number
  readonly #files: LRUCache<Coolable, Coolable> | undefined

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
    if (maxBytes > 0) {
      this.#files = new LRUCache({
        maxSize: maxBytes,
        dispose: (file, _key, reason) => {
          if (reason === 'evict') file.cool()
        },
      })
    }
  }

  /** Bytes of the files in the budget. */
  get bytes(): number {
    return this.#files?.calculatedSize ?? 0
  }

  /** Accounts for a file's bytes in memory; call when they have changed. */
  keep(file: Coolable): void {
    if (file.hotBytes > this.maxBytes) file.cool()
    const size = file.hotBytes
    // LRUCache keeps the old size of a key that is set to the value it already has, so the key is deleted first.
    this.forget(file)
    if (size > 0 && size <= this.maxBytes) this.#files?.set(file, file, { size })
  }

  /** Is a file in the budget? */
  holds(file: Coolable): boolean {
    return this.#files?.has(file) ?? false
  }

  /** Marks a file as used; call when it is read. */
  touch(file: Coolable): void {
    this.#files?.get(file)
  }

  /** Takes a file out of the budget without cooling it. */
  forget(file: Coolable): void {
    this.#files?.delete(file)
  }
}
