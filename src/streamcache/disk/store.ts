import { createHash, randomUUID } from 'node:crypto'
import { closeSync, constants, fstatSync, futimesSync, openSync, readSync, type Stats } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fse from 'fs-extra'
import { DiskFile, isDamage } from './disk-file.js'
import { DiskWatchdog } from './disk-watchdog.js'
import { decodeFooter, endsOtherFormat, footerLength, tailLength, type Footer } from './footer.js'

/**
 * Why a file in the directory was removed. `temp`: a fill had not ended; `truncated` and `corrupt`: damaged; `format`:
 * written by a version of this program with another format.
 */
export type DiscardReason = 'temp' | 'truncated' | 'corrupt' | 'format'

/** A committed file that an earlier process left, with an intact footer; its bytes are not verified yet. */
export interface StoredEntry {
  readonly disk: DiskFile
  readonly footer: Footer
  /** Bytes on disk. */
  readonly size: number
}

/**
 * The files of one instance directory: growing files in `temp/`, committed ones in `entries/`, moved by one rename. Names
 * are digests of keys plus a random part, so that a new entry never takes the name of one that is being read.
 */
export class Store {
  readonly #temp: string
  readonly #entries: string
  readonly #watchdog: DiskWatchdog

  constructor(directory: string, watchdog = new DiskWatchdog()) {
    this.#watchdog = watchdog
    this.#temp = join(directory, 'temp')
    this.#entries = join(directory, 'entries')
  }

  /**
   * Creates the directories, empties temp/, and reads the footers of the committed files.
   * @returns the intact files, oldest first. Only files proved to be damaged are removed; files that the system cannot
   * read or remove now stay where they are.
   * @throws if the directories cannot be created or listed
   */
  async scan(
    discarded: (reason: DiscardReason) => void,
    failed: (operation: 'read' | 'remove', error: unknown) => void = () => {},
  ): Promise<StoredEntry[]> {
    await this.#makeDirectories()
    const remove = (path: string, reason: DiscardReason): Promise<void> =>
      this.#watchdog
        .run(() => rm(path, { recursive: true, force: true }))
        .then(
          () => discarded(reason),
          (error: unknown) => failed('remove', error),
        )
    for (const name of await this.#watchdog.run(() => readdir(this.#temp))) {
      await remove(join(this.#temp, name), 'temp')
    }
    const found: StoredEntry[] = []
    for (const name of await this.#watchdog.run(() => readdir(this.#entries))) {
      const path = join(this.#entries, name)
      try {
        const entry = readFound(path, this.#watchdog)
        if (typeof entry === 'object') found.push(entry)
        else await remove(path, entry)
      } catch (error) {
        if (isDamage(error)) await remove(path, 'corrupt')
        else failed('read', error)
      }
    }
    return found.sort((a, b) => a.footer.committedAt - b.footer.committedAt)
  }

  async #makeDirectories(): Promise<void> {
    for (const path of [this.#temp, this.#entries]) await this.#watchdog.run(() => fse.ensureDir(path, 0o700))
  }

  /** Creates a temporary file, and the directory if it was removed. @throws the system's error */
  async create(): Promise<DiskFile> {
    const path = join(this.#temp, randomUUID())
    try {
      return await DiskFile.create(path, this.#watchdog)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      await this.#makeDirectories()
      return DiskFile.create(path, this.#watchdog)
    }
  }

  /** Returns the path for an entry of that key to be committed to; a new name each time. */
  committedPath(key: string): string {
    return join(this.#entries, `${createHash('sha256').update(key).digest('hex')}.${randomUUID()}`)
  }
}

/** Size in bytes that most footers do not exceed, and that of the longest footer that is accepted. */
const footerGuess = 1024
const footerMax = 1024 * 1024

/**
 * Reads a footer; synchronously, because a cache may hold tens of thousands of files, all are read before the first
 * request is accepted, and each costs 20 µs instead of 200 µs.
 */
function readFound(path: string, watchdog: DiskWatchdog): StoredEntry | DiscardReason {
  // Non-blocking, so that a pipe does not make the open wait for a writer.
  const handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(handle)
    const { size } = stats
    if (!stats.isFile()) return 'corrupt'
    const end = Buffer.alloc(Math.min(size, footerGuess))
    readSync(handle, end, 0, end.length, size - end.length)
    const length = footerLength(end.subarray(-tailLength))
    // A file whose end is missing has no magic word at its end.
    if (length === undefined) return endsOtherFormat(end) ? 'format' : 'truncated'
    if (length + tailLength > size) return 'truncated'
    const footerSize = length + tailLength
    if (footerSize > footerMax) return 'corrupt'
    let bytes = end.subarray(-footerSize)
    if (footerSize > end.length) {
      bytes = Buffer.alloc(footerSize)
      readSync(handle, bytes, 0, footerSize, size - footerSize)
    }
    const footer = decodeFooter(bytes)
    if (!footer || footer.length + footerSize !== size) return 'corrupt'
    const committedAt = plausibleCommitTime(footer.committedAt, stats, handle)
    return { disk: DiskFile.committed(path, size, watchdog), footer: { ...footer, committedAt }, size }
  } finally {
    closeSync(handle)
  }
}

/**
 * Returns when an entry was committed, also if the clock was ahead then or is behind now. An entry from the future counts
 * as committed now; the file's mtime records that, so that it does not become new again at each start.
 */
function plausibleCommitTime(committedAt: number, { mtimeMs }: Stats, handle: number): number {
  const now = Date.now()
  if (committedAt <= now) return committedAt
  if (mtimeMs <= now) return mtimeMs
  try {
    futimesSync(handle, now / 1000, now / 1000)
  } catch {
    // Without the permission to set it, the entry counts as new again at the next start.
  }
  return now
}
