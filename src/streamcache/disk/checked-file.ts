import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { blockSize } from '../memory/blocks.js'
import { ChunkSums } from './chunk-sums.js'
import { Damage, isDamage, type DiskFile } from './disk-file.js'

/**
 * One entry's file on disk. Each read compares what the disk returns with the checksums of what was written; a file that
 * an earlier process wrote has none until verify() has read all of it.
 */
export class CheckedFile {
  readonly disk: DiskFile
  /** Of the bytes on disk, as far as they are written and verified. */
  #sums = new ChunkSums()
  #verified: boolean

  /** @param verified false: an earlier process committed these bytes */
  constructor(disk: DiskFile, verified: boolean) {
    this.disk = disk
    this.#verified = verified
  }

  /** Has this process written these bytes, or compared them with their SHA-256, and found no damage since? */
  get verified(): boolean {
    return this.#verified
  }

  /** Writes the bytes that follow those written before. @throws the system's error */
  async write(buffers: Buffer[], position: number): Promise<void> {
    await this.disk.write(buffers, position)
    for (const buffer of buffers) this.#sums.append(buffer)
  }

  /** Appends the footer to the entry's bytes and gives the file its final name. @returns its size in bytes */
  async commit(footer: Buffer, length: number, path: string): Promise<number> {
    const size = length + footer.length
    await this.disk.write([footer], length)
    await this.disk.commit(path, size)
    return size
  }

  /** Is there a checksum for the chunk at this offset? */
  covers(offset: number): boolean {
    const { start, length } = this.#sums.chunkAt(offset)
    return start + length > offset
  }

  /**
   * Returns the bytes from an offset to the end of its chunk. After damage the file counts as not verified.
   * @throws Damage if the disk returns other bytes than were written; the system's error
   */
  async read(offset: number): Promise<Buffer> {
    const { start, length, sum } = this.#sums.chunkAt(offset)
    try {
      const chunk = await this.disk.read(start, length)
      if (crc32(chunk) !== sum) throw new Damage('the disk returned other bytes than were written')
      return chunk.subarray(offset - start)
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
    await this.disk.trustCurrent()
    const hash = createHash('sha256')
    const sums = new ChunkSums()
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
