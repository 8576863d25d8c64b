import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { blockSize } from '../memory/blocks.js'
import { ChunkSums, defaultChunkSize } from './chunk-sums.js'
import { Damage, isDamage, type DiskFile } from './disk-file.js'

export interface CheckedFileOptions {
  /** Bytes per checksum and per read; 32 KiB if left out. */
  readonly chunkSize?: number | undefined
  /** Offset in the entry of the file's first byte, a multiple of the chunk size; 0 if left out. */
  readonly base?: number
}

/**
 * One entry's file on disk. Each read compares what the disk returns with the checksums of what was written; a file that
 * an earlier process wrote has none until verify() has read all of it. Offsets are those in the entry: if its first bytes
 * were never written to this file, `base` is where the file begins, and the file can be neither committed nor verified.
 */
export class CheckedFile {
  readonly disk: DiskFile
  /** Of the bytes on disk, as far as they are written and verified. */
  #sums: ChunkSums
  #verified: boolean
  readonly #chunkSize: number
  readonly #base: number

  /** @param verified false: an earlier process committed these bytes */
  constructor(disk: DiskFile, verified: boolean, options: CheckedFileOptions = {}) {
    const { chunkSize = defaultChunkSize, base = 0 } = options
    if (base % chunkSize !== 0) throw new RangeError(`${base} is not a multiple of ${chunkSize}`)
    this.disk = disk
    this.#verified = verified
    this.#chunkSize = chunkSize
    this.#base = base
    this.#sums = new ChunkSums(chunkSize)
  }

  /** Has this process written these bytes, or compared them with their SHA-256, and found no damage since? */
  get verified(): boolean {
    return this.#verified
  }

  /** Writes the bytes that follow those written before. @throws the system's error */
  async write(buffers: Buffer[], position: number): Promise<void> {
    await this.disk.write(buffers, position - this.#base)
    for (const buffer of buffers) this.#sums.append(buffer)
  }

  /**
   * Writes the metadata beside the final name, and then gives the file that name: a file under it always has metadata.
   * @returns the size of both in bytes
   * @throws the system's error; unlink() removes what is there
   */
  async commit(metadata: Buffer, length: number, path: string): Promise<number> {
    this.#requireWhole()
    await this.disk.writeMetadata(metadata, path)
    await this.disk.commit(path, length)
    return length + metadata.length
  }

  #requireWhole(): void {
    if (this.#base > 0) throw this.#missing()
  }

  #missing(): Error {
    return new Error(`the first ${this.#base} bytes of the entry are not in this file`)
  }

  /** Is there a checksum for the chunk at this offset? */
  covers(offset: number): boolean {
    const at = offset - this.#base
    const { start, length } = this.#sums.chunkAt(at)
    return at >= 0 && start + length > at
  }

  /**
   * Returns the bytes from an offset to the end of its chunk. After damage the file counts as not verified.
   * @throws Damage if the disk returns other bytes than were written; the system's error
   */
  async read(offset: number): Promise<Buffer> {
    const at = offset - this.#base
    if (at < 0) throw this.#missing()
    const { start, length, sum } = this.#sums.chunkAt(at)
    try {
      const chunk = await this.disk.read(start, length)
      if (crc32(chunk) !== sum) throw new Damage('the disk returned other bytes than were written')
      return chunk.subarray(at - start)
    } catch (error) {
      if (isDamage(error)) this.#verified = false
      throw error
    }
  }

  /**
   * Is the file on disk still the one that was committed or verified? False does not prove damage.
   * @throws the system's error, if it is no proof of damage
   */
  async isUntouched(): Promise<boolean> {
    return this.disk.isUntouched().catch((error: unknown) => {
      if (isDamage(error)) return false
      throw error
    })
  }

  /**
   * Reads all bytes and compares them with their SHA-256; from then on the file is verified.
   * @param collect called with each block of `blockSize` bytes, of which the last may be shorter
   * @throws Damage if they differ; the system's error
   */
  async verify(length: number, sha256: string | undefined, collect: (block: Buffer) => void): Promise<void> {
    this.#requireWhole()
    await this.disk.trustCurrent()
    const hash = createHash('sha256')
    const sums = new ChunkSums(this.#chunkSize)
    for (let at = 0; at < length; at += blockSize) {
      const block = await this.disk.read(at, Math.min(blockSize, length - at))
      hash.update(block)
      sums.append(block)
      collect(block)
    }
    if (hash.digest('hex') !== sha256) throw new Damage('the bytes on disk do not match their SHA-256')
    this.#verified = true
    this.#sums = sums
  }
}
