import { allocate } from './allocate.js'

/** Bytes per block: the largest write to a follower, and the most that a slow follower keeps in memory. */
export const blockSize = 1024 * 1024

/** The bytes of a growing file in memory, in blocks of `blockSize`. Any block may be absent. */
export class Blocks {
  readonly #blocks: (Buffer | undefined)[] = []
  #length = 0
  #bytes = 0

  /** Bytes appended, those of absent blocks included. */
  get length(): number {
    return this.#length
  }

  /** The offset from which on no block is absent; a multiple of `blockSize`. */
  get start(): number {
    return (this.#blocks.findLastIndex((block) => !block) + 1) * blockSize
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return this.#bytes
  }

  /** Adds a copy of these bytes at the end. */
  append(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const index = Math.floor(this.#length / blockSize)
      const block = (this.#blocks[index] ??= this.#allocate())
      const copied = chunk.copy(block, this.#length % blockSize, at)
      at += copied
      this.#length += copied
    }
  }

  #allocate(): Buffer {
    this.#bytes += blockSize
    return allocate(blockSize)
  }

  /** Returns a view from an offset to the end of its block; undefined if that block is absent. */
  from(offset: number): Buffer | undefined {
    const start = offset - (offset % blockSize)
    return this.#blocks[start / blockSize]?.subarray(
      offset - start,
      Math.min(blockSize, this.#length - start),
    )
  }

  /** Returns views of everything from an offset on. @throws if a block of it is absent */
  allFrom(offset: number): Buffer[] {
    const views: Buffer[] = []
    for (let at = offset; at < this.#length;) {
      const view = this.from(at)
      if (!view) throw new Error('bytes were dropped from memory before they were written to disk')
      views.push(view)
      at += view.length
    }
    return views
  }

  /** Drops the blocks that end at or before an offset. */
  dropUntil(offset: number): void {
    for (let index = 0; index < this.#blocks.length; index++) {
      const block = this.#blocks[index]
      const end = Math.min((index + 1) * blockSize, this.#length)
      if (!block || end > offset) continue
      this.#bytes -= block.length
      this.#blocks[index] = undefined
    }
  }

  /** Cuts the last block to its content: most entries are small, and one in memory should cost its own size. */
  seal(): void {
    const index = this.#blocks.length - 1
    const used = this.#length - index * blockSize
    const block = this.#blocks[index]
    if (!block || used === block.length) return
    const exact = allocate(used)
    block.copy(exact, 0, 0, used)
    this.#blocks[index] = exact
    this.#bytes -= block.length - used
  }

  /** Replaces the content: all bytes, in blocks of `blockSize`; the last block may be shorter. */
  fill(blocks: Buffer[]): void {
    this.#blocks.splice(0, this.#blocks.length, ...blocks)
    this.#bytes = blocks.reduce((sum, block) => sum + block.length, 0)
    this.#length = this.#bytes
  }

  /** Returns blocks of a known length, all of them absent: the bytes are on disk only. */
  static absent(length: number): Blocks {
    const blocks = new Blocks()
    blocks.#length = length
    return blocks
  }
}
