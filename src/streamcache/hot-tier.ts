import { LRUCache } from 'lru-cache'

/** Something whose bytes are in memory and, at least in part, on disk as well. */
export interface Coolable {
  /** Bytes in memory now. */
  readonly hotBytes: number
  /** Drop from memory whatever is on disk. */
  cool(): void
}

/**
 * The memory budget that all entries share. Least recently used entries are cooled first; what is not on disk yet stays
 * in memory whatever the budget says, and the writer's own back-pressure bounds it.
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

  get bytes(): number {
    return this.#files?.calculatedSize ?? 0
  }

  /** Call when a file has grown in memory. */
  keep(file: Coolable): void {
    if (file.hotBytes > this.maxBytes) file.cool()
    const size = file.hotBytes
    // LRUCache keeps the old size of a key that is set to the value it has; so the key goes first.
    this.forget(file)
    if (size > 0 && size <= this.maxBytes) this.#files?.set(file, file, { size })
  }

  /** Call when a file is read. */
  touch(file: Coolable): void {
    this.#files?.get(file)
  }

  forget(file: Coolable): void {
    this.#files?.delete(file)
  }
}
