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
  /** What is read: made at the first read, since most versions in a busy time are never read as a whole. */
  #views: Views | undefined
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
    const { views, starts } = (this.#views ??= viewsOf(this.chunks))
    const index = lastUntil(starts, offset)
    const [view, start] = [views[index] as Buffer, starts[index] as number]
    return start === offset ? view : view.subarray(offset - start)
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

interface Views {
  readonly views: readonly Buffer[]
  /** Where each view begins. */
  readonly starts: Float64Array
}

/** Joins chunks that stand one after another in memory, to views of a mebibyte or little more. */
function viewsOf(chunks: readonly Buffer[]): Views {
  const views: Buffer[] = []
  for (let index = 0; index < chunks.length;) {
    const { buffer, byteOffset, length } = chunks[index] as Buffer
    let end = byteOffset + length
    for (index++; end - byteOffset < viewMin; index++) {
      const next = chunks[index]
      if (next?.buffer !== buffer || next.byteOffset !== end) break
      end += next.length
    }
    views.push(Buffer.from(buffer, byteOffset, end - byteOffset))
  }
  return { views, starts: startsOf(views) }
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

/** Returns the index of the last number that is not greater than an offset; the first one is 0. */
const lastUntil = (starts: Float64Array, offset: number): number =>
  search(1, starts.length, (index) => (starts[index] as number) <= offset) - 1
