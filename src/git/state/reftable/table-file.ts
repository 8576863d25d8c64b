import type { FileHandle } from 'node:fs/promises'
import { systemPath } from '../../filesystem/byte-path.js'
import { openRegularFile } from '../../filesystem/open-regular-file.js'
import { versionOf } from '../snapshot-memory.js'
import { DamagedTable } from './damaged-table.js'

/** Bytes per read from disk: some thousand records, which take about a millisecond. */
const windowSize = 128 * 1024

/** An open table, read in pieces: holds one piece in memory, or one block if that is larger. */
export class TableFile {
  /** Bytes when it was opened. Git never writes to a table that has its final name. */
  readonly size: number
  /** See `versionOf`, when it was opened. */
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
    const file = await openRegularFile(systemPath(path))
    if (!file) throw new DamagedTable('not a regular file')
    return new TableFile(file.handle, Number(file.stats.size), versionOf(file.stats))
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
