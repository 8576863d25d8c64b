import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { systemPath } from '../../filesystem/byte-path.js'
import { DamagedTable } from './damaged-table.js'

/** Bytes per read from disk: some thousand records, which take about a millisecond. */
const windowSize = 128 * 1024

/** A link is no table of Git's, and may lead anywhere; opening a pipe must not wait for its writer. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** An open table, read in pieces: holds one piece in memory, or one block if that is larger. */
export class TableFile {
  /** Bytes when it was opened. Git never writes to a table that has its final name. */
  readonly size: number
  /** Equal for equal versions of a file: device, inode, size, mtime and ctime. */
  readonly version: string
  readonly #handle: FileHandle
  #window = Buffer.allocUnsafe(windowSize)
  #windowAt = 0
  #windowLength = 0

  private constructor(handle: FileHandle, size: number, version: string) {
    this.#handle = handle
    this.size = size
    this.version = version
  }

  /** @throws DamagedTable if it is not a regular file; the system's error. The caller closes it. */
  static async open(path: string): Promise<TableFile> {
    const handle = await open(systemPath(path), flags)
    try {
      const stats = await handle.stat({ bigint: true })
      if (!stats.isFile()) throw new DamagedTable('not a regular file')
      const { dev, ino, size, mtimeNs, ctimeNs } = stats
      return new TableFile(handle, Number(size), `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /**
   * Returns bytes of the file, which are valid until the next call. @throws DamagedTable if it ends before their end; the
   * system's error
   */
  async read(at: number, length: number): Promise<Buffer> {
    if (at + length > this.size) throw new DamagedTable(`ends after ${this.size} bytes`)
    if (at < this.#windowAt || at + length > this.#windowAt + this.#windowLength) await this.#fill(at, length)
    const start = at - this.#windowAt
    return this.#window.subarray(start, start + length)
  }

  async #fill(at: number, atLeast: number): Promise<void> {
    if (atLeast > this.#window.length) this.#window = Buffer.allocUnsafe(atLeast)
    const wanted = Math.min(this.#window.length, this.size - at)
    this.#windowAt = at
    this.#windowLength = 0
    while (this.#windowLength < wanted) {
      const { bytesRead } = await this.#handle.read(
        this.#window,
        this.#windowLength,
        wanted - this.#windowLength,
        at + this.#windowLength,
      )
      if (bytesRead === 0) throw new DamagedTable(`ends before its ${this.size} bytes`)
      this.#windowLength += bytesRead
    }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}
