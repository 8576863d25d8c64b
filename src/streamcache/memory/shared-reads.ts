import { LRUCache } from 'lru-cache'

/**
 * Bytes that were read from disk a moment ago: an LRU that followers of one file share. Those that follow a storm are close
 * together, so that each part of a file is read and checked about once, and not once for each.
 */
export class SharedReads {
  readonly #chunks: LRUCache<string, Promise<Buffer>>
  #files = 0

  /** @param most chunks to be kept, of whatever size */
  constructor(most: number) {
    this.#chunks = new LRUCache({ max: most })
  }

  /** Returns a name for a file. */
  name(): string {
    return `${this.#files++}`
  }

  /** Resolves with a chunk of a file, which `read` reads unless it was read a moment ago or is being read. */
  read(file: string, chunk: string, read: () => Promise<Buffer>): Promise<Buffer> {
    const key = `${file} ${chunk}`
    const known = this.#chunks.get(key)
    if (known) return known
    const reading = read()
    this.#chunks.set(key, reading)
    reading.catch(() => {
      if (this.#chunks.peek(key) === reading) this.#chunks.delete(key)
    })
    return reading
  }
}
