import { digestOf } from './digest-of.js'
import { search } from './search.js'

/** Bytes from which on a view is not extended by another chunk. */
const viewMax = 1024 * 1024

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

  /**
   * Returns a view from an offset to the end of its chunk, or further: chunks that stand one after another in memory are sent as
   * one. @throws RangeError unless 0 <= offset < length
   */
  from(offset: number): Buffer {
    if (!(offset >= 0 && offset < this.length)) throw new RangeError(`no byte at ${offset} of ${this.length}`)
    const first = this.#indexAt(offset)
    const chunk = this.chunks[first] as Buffer
    const at = offset - this.startOf(first)
    let next = first + 1
    let end = chunk.byteOffset + chunk.length
    for (; next < this.chunks.length && this.startOf(next) - offset < viewMax; next++) {
      const { buffer, byteOffset, length } = this.chunks[next] as Buffer
      if (buffer !== chunk.buffer || byteOffset !== end) break
      end += length
    }
    if (next === first + 1) return chunk.subarray(at)
    return Buffer.from(chunk.buffer, chunk.byteOffset + at, end - chunk.byteOffset - at)
  }

  /** Returns the offset at which a chunk begins. */
  startOf(index: number): number {
    return this.#starts[index] ?? this.length
  }

  /** Returns the last chunk that begins at or before an offset. */
  #indexAt(offset: number): number {
    return search(1, this.chunks.length, (index) => (this.#starts[index] as number) <= offset) - 1
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
    return (this.#sha256 = await digestOf(this.chunks))
  }
}
