import { createHash } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/** Bytes that are hashed in one iteration of the event loop: less than a millisecond. */
const hashedAtOnce = 1024 * 1024

/**
 * Bytes as a sequence of chunks that never change, so that versions of long content share the chunks in which they are
 * equal: a new version costs its new chunks and an array of references.
 */
export class Rope {
  /** None of them is empty. */
  readonly chunks: readonly Buffer[]
  /** In bytes. */
  readonly length: number
  /** Where each chunk begins. */
  readonly #starts: Float64Array
  #sha256: string | Promise<string> | undefined

  constructor(chunks: readonly Buffer[]) {
    this.chunks = chunks
    this.#starts = new Float64Array(chunks.length)
    let length = 0
    for (let index = 0; index < chunks.length; index++) {
      this.#starts[index] = length
      length += (chunks[index] as Buffer).length
    }
    this.length = length
  }

  /** Returns a view from an offset to the end of its chunk. @throws RangeError unless 0 <= offset < length */
  from(offset: number): Buffer {
    if (!(offset >= 0 && offset < this.length)) throw new RangeError(`no byte at ${offset} of ${this.length}`)
    const index = this.#indexAt(offset)
    return (this.chunks[index] as Buffer).subarray(offset - (this.#starts[index] as number))
  }

  /** Returns the offset at which a chunk begins. */
  startOf(index: number): number {
    return this.#starts[index] ?? this.length
  }

  /** Binary search: the last chunk that begins at or before an offset. */
  #indexAt(offset: number): number {
    let low = 0
    let high = this.chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.#starts[middle] as number) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  /** SHA-256 of all bytes in hexadecimal, if it was computed; see `digest`. */
  get sha256(): string | undefined {
    return typeof this.#sha256 === 'string' ? this.#sha256 : undefined
  }

  /** Returns the SHA-256 of all bytes in hexadecimal: computed once, when first asked for, without blocking the event loop. */
  digest(): string | Promise<string> {
    return (this.#sha256 ??= this.#hash())
  }

  async #hash(): Promise<string> {
    const hash = createHash('sha256')
    let hashed = 0
    for (const chunk of this.chunks) {
      hash.update(chunk)
      hashed += chunk.length
      if (hashed < hashedAtOnce) continue
      hashed = 0
      await yieldToEventLoop()
    }
    return (this.#sha256 = hash.digest('hex'))
  }
}
