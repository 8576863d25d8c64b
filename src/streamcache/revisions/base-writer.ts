import { rmSync } from 'node:fs'
import type { Removable } from '../disk/cache-directory.js'
import type { DiskFile } from '../disk/disk-file.js'
import { encodeMetadata } from '../disk/metadata.js'
import type { Rope } from '../memory/rope.js'
import type { StoredBase } from './stored-rope.js'

/** The directory that a base is written to; a CacheDirectory is one. */
export interface BaseDirectory {
  /** Creates a temporary file; undefined: it cannot, which has been reported. */
  create(): Promise<DiskFile | undefined>
  /** Returns a path for a new body; undefined: the directory cannot be used. */
  committedPath(key: string): Promise<string | undefined>
  /** Tracks work on files until it ends. */
  inBackground(files: Removable, work: Promise<void>): void
}

/** What the metadata says of a base, beside its length and digest. */
export interface BaseLabel {
  readonly key: string
  readonly token: string
  /** Milliseconds since 1970. */
  readonly committedAt: number
}

/** Bytes of one write. */
const writeSize = 1024 * 1024

/** Writes one whole rope to disk, as each committed entry is: a temporary file, metadata, a rename. */
export class BaseWriter {
  readonly #directory: BaseDirectory
  #file: DiskFile | undefined
  /** Where the file will be. */
  #path: string | undefined
  #stopped = false

  constructor(directory: BaseDirectory) {
    this.#directory = directory
  }

  /**
   * Writes the rope; once.
   * @param failed called with what the disk did not do
   * @returns undefined: it is not there, and nothing else is
   */
  async write(
    rope: Rope,
    label: BaseLabel,
    failed: (operation: 'write' | 'commit', error: unknown) => void,
  ): Promise<StoredBase | undefined> {
    const file = await this.#directory.create()
    if (!file) return undefined
    this.#file = file
    let operation: 'write' | 'commit' = 'write'
    let base: StoredBase | undefined
    try {
      this.#path = await this.#directory.committedPath(label.key)
      await this.#writeChunks(file, rope)
      const { length } = rope
      const sha256 = await rope.digest()
      const metadata = encodeMetadata({ ...label, length, sha256 })
      operation = 'commit'
      if (!this.#stopped && this.#path !== undefined) {
        await file.writeMetadata(metadata, this.#path)
        await file.commit(this.#path, length)
        base = { path: this.#path, length, sha256, metadataLength: metadata.length }
      }
    } catch (error) {
      if (!this.#stopped) failed(operation, error)
    }
    file.close()
    if (base && !this.#stopped) return base
    this.#directory.inBackground(file, file.unlink())
    return undefined
  }

  async #writeChunks(file: DiskFile, rope: Rope): Promise<void> {
    let batch: Buffer[] = []
    let bytes = 0
    let at = 0
    const flush = async (): Promise<void> => {
      await file.write(batch, at)
      at += bytes
      batch = []
      bytes = 0
    }
    for (const chunk of rope.chunks) {
      if (this.#stopped) return
      batch.push(chunk)
      bytes += chunk.length
      if (bytes >= writeSize) await flush()
    }
    if (bytes > 0) await flush()
  }

  /** Has what was written removed as soon as the operation of the disk that runs has ended. */
  stop(): void {
    this.#stopped = true
  }

  /** Stops, and removes the file before it returns. */
  unlinkNow(): void {
    this.stop()
    // In this order, since it may be renamed from the one name to the other at any moment.
    this.#file?.unlinkNow()
    if (this.#path !== undefined) rmSync(this.#path, { force: true })
  }
}
