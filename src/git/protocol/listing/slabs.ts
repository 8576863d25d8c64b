import { allocate, blockSize } from './block.js'

/** Bytes that are allocated at once: 16 blocks, one after another, so that an answer can be sent in few pieces. */
export const slabSize = 16 * blockSize

/** Memory for pieces that are made one after another: they stand one after another in it as well. */
export class Slabs {
  #slab: Buffer = Buffer.alloc(0)
  /** Pieces that are still expected. */
  #expected: number

  /** @param expected number of all pieces: no more memory is allocated ahead than they take if they are all as long as the next */
  constructor(expected: number) {
    this.#expected = expected
  }

  /** Returns memory for the next piece; its content is arbitrary. */
  take(length: number): Buffer {
    if (this.#slab.length < length)
      this.#slab = allocate(Math.max(length, Math.min(slabSize, this.#expected * length)))
    this.#expected--
    const piece = this.#slab.subarray(0, length)
    this.#slab = this.#slab.subarray(length)
    return piece
  }
}
