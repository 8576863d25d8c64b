import { createHash, randomUUID } from 'node:crypto'
import { closeSync, constants, fstatSync, futimesSync, openSync, readSync, type Stats } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fse from 'fs-extra'
import { DiskFile, isDamage } from './disk-file.js'
import { DiskWatch } from './disk-watch.js'
import { decodeFooter, endsOtherFormat, footerLength, tailLength, type Footer } from './footer.js'

/** Why a file in the directory was thrown away. `format`: another version of this program wrote it. */
export type DiscardReason = 'temp' | 'truncated' | 'corrupt' | 'format'

/** A committed file that an earlier process left, with a sound footer; its bytes are not checked yet. */
export interface Found {
  readonly disk: DiskFile
  readonly footer: Footer
  /** Bytes on disk. */
  readonly size: number
}

/**
 * The files on disk, in one slot: `temp/` for those that grow, `entries/` for the committed, moved by one rename. Names are digests
 * of keys plus a random part, so that a new entry never takes the name of one that is being read.
 */
export class Store {
  readonly #temp: string
  readonly #entries: string
  readonly #watch: DiskWatch

  constructor(directory: string, watch = new DiskWatch()) {
    this.#watch = watch
    this.#temp = join(directory, 'temp')
    this.#entries = join(directory, 'entries')
  }

  /**
   * Makes the directories, empties temp/, and reads the footers of what is committed, oldest first. Only what is proved
   * to be damaged is thrown away; what the system refuses to read or to remove stays where it is.
   * @throws if the directories cannot be made or listed
   */
  async scan(
    discarded: (reason: DiscardReason) => void,
    failed: (operation: 'read' | 'remove', error: unknown) => void = () => {},
  ): Promise<Found[]> {
    await this.makeDirectories()
    const remove = (path: string, reason: DiscardReason): Promise<void> =>
      this.#watch
        .run(() => rm(path, { recursive: true, force: true }))
        .then(
          () => discarded(reason),
          (error: unknown) => failed('remove', error),
        )
    for (const name of await this.#watch.run(() => readdir(this.#temp))) {
      await remove(join(this.#temp, name), 'temp')
    }
    const found: Found[] = []
    for (const name of await this.#watch.run(() => readdir(this.#entries))) {
      const path = join(this.#entries, name)
      try {
        const entry = readFound(path, this.#watch)
        if (typeof entry === 'object') found.push(entry)
        else await remove(path, entry)
      } catch (error) {
        if (isDamage(error)) await remove(path, 'corrupt')
        else failed('read', error)
      }
    }
    return found.sort((a, b) => a.footer.committedAt - b.footer.committedAt)
  }

  async makeDirectories(): Promise<void> {
    for (const path of [this.#temp, this.#entries]) await this.#watch.run(() => fse.ensureDir(path, 0o700))
  }

  /** A new temporary file. Makes the directory again if it has gone. @throws the system's error */
  async create(): Promise<DiskFile> {
    const path = join(this.#temp, randomUUID())
    try {
      return await DiskFile.create(path, this.#watch)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      await this.makeDirectories()
      return DiskFile.create(path, this.#watch)
    }
  }

  /** Where an entry of that key goes when it commits; a new name each time. */
  committedPath(key: string): string {
    return join(this.#entries, `${createHash('sha256').update(key).digest('hex')}.${randomUUID()}`)
  }
}

/** Bytes in which most footers fit, and those of the longest that is read. */
const footerGuess = 1024
const footerMax = 1024 * 1024

/**
 * Reads a footer. Synchronously: a cache may hold tens of thousands of files, all are read before the first request is
 * taken, and so each costs 20 µs instead of 200.
 */
function readFound(path: string, watch: DiskWatch): Found | DiscardReason {
  // Should it be a pipe, nobody waits for its writer.
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
    const committedAt = believable(footer.committedAt, stats, handle)
    return { disk: DiskFile.committed(path, size, watch), footer: { ...footer, committedAt }, size }
  } finally {
    closeSync(handle)
  }
}

/**
 * When an entry was committed, if the clock has been ahead or is behind now. An entry from the future counts as made
 * now; the file's mtime remembers that, so that it does not become new again at each start.
 */
function believable(committedAt: number, { mtimeMs }: Stats, handle: number): number {
  const now = Date.now()
  if (committedAt <= now) return committedAt
  if (mtimeMs <= now) return mtimeMs
  try {
    futimesSync(handle, now / 1000, now / 1000)
  } catch {
    // Not ours to change: then it is as new at the next start.
  }
  return now
}
