import { crc32 } from 'node:zlib'

/** Bytes per checksum, and per read from disk: what a follower that is behind the hot tier holds. */
export const defaultChunkSize = 32 * 1024

/**
 * The CRC-32 of each chunk of a file that this process has written or verified, so that bytes read back from disk are
 * compared before they are sent. The SHA-256 of the whole would be known only after the last byte was sent. Takes 0.2 ms
 * per megabyte; a client that reads from memory pays nothing. Offsets are those in the file.
 */
export class ChunkSums {
  readonly #chunkSize: number
  readonly #sums: number[] = []
  #length = 0

  /** @param chunkSize bytes per checksum */
  constructor(chunkSize = defaultChunkSize) {
    this.#chunkSize = chunkSize
  }

  /** Adds the bytes that follow those added before. */
  append(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const index = Math.floor(this.#length / this.#chunkSize)
      const part = bytes.subarray(at, at + this.#chunkSize - (this.#length % this.#chunkSize))
      this.#sums[index] = crc32(part, this.#sums[index] ?? 0)
      this.#length += part.length
      at += part.length
    }
  }

  /** Returns where the chunk of an offset begins, how many bytes of it have been added, and their checksum. */
  chunkAt(offset: number): { readonly start: number; readonly length: number; readonly sum: number } {
    const index = Math.floor(offset / this.#chunkSize)
    const start = index * this.#chunkSize
    return { start, length: Math.min(this.#chunkSize, this.#length - start), sum: this.#sums[index] ?? 0 }
  }
}
