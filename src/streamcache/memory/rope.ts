import { digestOf } from './digest-of.js'
import { search } from './search.js'

/** Bytes from which on a view is not extended by another chunk. */
const viewMin = 1024 * 1024

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
  /** By the index of their first chunk. */
  readonly #views: Buffer[] = []
  #sha256: string | Promise<string> | undefined

  constructor(chunks: readonly Buffer[]) {
    this.chunks = chunks
    this.#starts = startsOf(chunks)
    this.length = chunks.length === 0 ? 0 : this.startOf(chunks.length - 1) + (chunks.at(-1) as Buffer).length
  }

  /**
   * Returns a view from an offset to the end of its chunk, or further: chunks that stand one after another in memory are sent as
   * one. @throws RangeError unless 0 <= offset < length
   */
  from(offset: number): Buffer {
    if (!(offset >= 0 && offset < this.length)) throw new RangeError(`no byte at ${offset} of ${this.length}`)
    const index = search(1, this.chunks.length, (each) => (this.#starts[each] as number) <= offset) - 1
    const view = this.#viewFrom(index)
    const at = offset - (this.#starts[index] as number)
    return at === 0 ? view : view.subarray(at)
  }

  /** Returns the view that begins with a chunk: made once, since all who read from the beginning ask for the same ones. */
  #viewFrom(index: number): Buffer {
    return (this.#views[index] ??= joined(this.chunks, index))
  }

  /** Returns the offset at which a chunk begins. */
  startOf(index: number): number {
    return this.#starts[index] ?? this.length
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

/** Returns a chunk with those that follow it in memory as well: a view of a mebibyte or little more. */
function joined(chunks: readonly Buffer[], first: number): Buffer {
  const chunk = chunks[first] as Buffer
  const { buffer, byteOffset, length } = chunk
  let end = byteOffset + length
  let next = first + 1
  for (; next < chunks.length && end - byteOffset < viewMin; next++) {
    const { buffer: other, byteOffset: start, length } = chunks[next] as Buffer
    if (other !== buffer || start !== end) break
    end += length
  }
  return next === first + 1 ? chunk : Buffer.from(buffer, byteOffset, end - byteOffset)
}

function startsOf(buffers: readonly Buffer[]): Float64Array {
  const starts = new Float64Array(buffers.length)
  let at = 0
  buffers.forEach(({ length }, index) => {
    starts[index] = at
    at += length
  })
  return starts
}
