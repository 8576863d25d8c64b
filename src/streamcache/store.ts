import { createHash, randomUUID } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fse from 'fs-extra'
import { DiskFile } from './disk-file.js'
import { decodeFooter, footerLength, tailLength, type Footer } from './footer.js'

/** Why a file in the directory was thrown away at start. */
export type DiscardReason = 'temp' | 'truncated' | 'corrupt'

/** A committed file that an earlier process left, with a sound footer; its bytes are not checked yet. */
export interface Found {
  readonly disk: DiskFile
  readonly footer: Footer
  /** Bytes on disk. */
  readonly size: number
}

/**
 * The files on disk: `temp/` for those that grow, `entries/` for the committed, moved by one rename. Names are digests
 * of keys plus a random part, so that a new entry never takes the name of one that is being read.
 */
export class Store {
  readonly #temp: string
  readonly #entries: string

  constructor(directory: string) {
    this.#temp = join(directory, 'temp')
    this.#entries = join(directory, 'entries')
  }

  /** Makes the directories, empties temp/, and reads the footers of what is committed, oldest first. */
  async scan(discarded: (reason: DiscardReason) => void): Promise<Found[]> {
    await this.makeDirectories()
    for (const name of await readdir(this.#temp)) {
      await rm(join(this.#temp, name), { recursive: true, force: true })
      discarded('temp')
    }
    const found: Found[] = []
    for (const name of await readdir(this.#entries)) {
      const path = join(this.#entries, name)
      const entry = tryRead(path)
      if (typeof entry === 'object') {
        found.push(entry)
      } else {
        await rm(path, { recursive: true, force: true })
        discarded(entry)
      }
    }
    return found.sort((a, b) => a.footer.committedAt - b.footer.committedAt)
  }

  async makeDirectories(): Promise<void> {
    await fse.ensureDir(this.#temp, 0o700)
    await fse.ensureDir(this.#entries, 0o700)
  }

  /** A new temporary file. Makes the directory again if it has gone. @throws the system's error */
  async create(): Promise<DiskFile> {
    const path = join(this.#temp, randomUUID())
    try {
      return await DiskFile.create(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      await this.makeDirectories()
      return DiskFile.create(path)
    }
  }

  /** Where an entry of that key goes when it commits; a new name each time. */
  committedPath(key: string): string {
    return join(this.#entries, `${createHash('sha256').update(key).digest('hex')}.${randomUUID()}`)
  }
}

/** Bytes in which most footers fit. */
const footerGuess = 1024

function tryRead(path: string): Found | DiscardReason {
  try {
    return readFound(path)
  } catch {
    return 'corrupt'
  }
}

/**
 * Reads a footer. Synchronously: a cache may hold tens of thousands of files, all are read before the first request is
 * taken, and so each costs 20 µs instead of 200.
 */
function readFound(path: string): Found | DiscardReason {
  const handle = openSync(path, 'r')
  try {
    const { size } = fstatSync(handle)
    const end = Buffer.alloc(Math.min(size, footerGuess))
    readSync(handle, end, 0, end.length, size - end.length)
    const length = footerLength(end.subarray(-tailLength))
    // A file whose end is missing has no magic word at its end.
    if (length === undefined || length + tailLength > size) return 'truncated'
    let json = end.subarray(-tailLength - length, -tailLength)
    if (length + tailLength > end.length) {
      json = Buffer.alloc(length)
      readSync(handle, json, 0, length, size - tailLength - length)
    }
    const footer = decodeFooter(json)
    if (!footer || footer.length + length + tailLength !== size) return 'corrupt'
    return { disk: DiskFile.committed(path, size), footer, size }
  } finally {
    closeSync(handle)
  }
}
