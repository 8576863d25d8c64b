import { createHash, randomUUID } from 'node:crypto'
import { closeSync, fstatSync, futimesSync, readSync, statSync, type Stats } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DiskFile, isDamage } from './disk-file.js'
import { DiskWatchdog } from './disk-watchdog.js'
import {
  decodeMetadata,
  endsInFooter,
  footerEndLength,
  hasOtherFormat,
  isMetadataName,
  metadataPath,
  type Metadata,
} from './metadata.js'
import { openFound } from './open-found.js'
import { RevisionLog } from './revision-log.js'
import { isRevisionsName, revisionsPath, type RevisionRecord } from './revision-record.js'

/**
 * Why a file in the directory was removed. `temp`: a fill or its commit had not ended; `truncated`: the body is shorter
 * than its metadata says; `corrupt`: damaged in another way, or without metadata; `format`: written by a version of this
 * program with another format.
 */
export type DiscardReason = 'temp' | 'truncated' | 'corrupt' | 'format'

/** A committed body that an earlier process left, with intact metadata; its bytes are not verified yet. */
export interface StoredEntry {
  readonly disk: DiskFile
  readonly metadata: Metadata
  /** Bytes on disk, of both files. */
  readonly size: number
  /** The revisions beside it, of which the last is the entry; left out: the body is. */
  readonly revised?: { readonly log: RevisionLog; readonly last: RevisionRecord }
}

/**
 * The files of one instance directory: growing bodies in `temp/`, committed ones in `entries/`, moved by one rename once
 * their metadata is beside their new name. Names are digests of keys plus a random part, so that a new entry never takes
 * the name of one that is being read.
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
   * Creates the directories, empties temp/, and reads the metadata of the committed files.
   * @returns the intact entries, oldest first. Only files proved to be damaged are removed; files that the system cannot
   * read or remove now stay where they are.
   * @throws if the directories cannot be created or listed
   */
  async scan(
    discarded: (reason: DiscardReason) => void,
    failed: (operation: 'read' | 'remove', error: unknown) => void = () => {},
  ): Promise<StoredEntry[]> {
    await this.#makeDirectories()
    const remove = (reason: DiscardReason, ...paths: string[]): Promise<void> =>
      this.#watchdog
        .run(async () => {
          for (const path of paths) await rm(path, { recursive: true, force: true })
        })
        .then(
          () => discarded(reason),
          (error: unknown) => failed('remove', error),
        )
    for (const name of await this.#watchdog.run(() => readdir(this.#temp))) {
      await remove('temp', join(this.#temp, name))
    }
    const names = new Set(await this.#watchdog.run(() => readdir(this.#entries)))
    const bodies = new Set([...names].filter((name) => !isMetadataName(name) && !isRevisionsName(name)))
    const beside = new Set([...bodies].flatMap((name) => [metadataPath(name), revisionsPath(name)]))
    for (const name of names) {
      // A crash fell between the metadata and the rename of its body, or between the removals of these files.
      if (!bodies.has(name) && !beside.has(name)) await remove('temp', join(this.#entries, name))
    }
    const found: StoredEntry[] = []
    for (const name of bodies) {
      const path = join(this.#entries, name)
      try {
        const entry = readFound(path, this.#watchdog)
        if (typeof entry !== 'object') await remove(entry, ...pathsOf(path))
        else {
          const revised = names.has(revisionsPath(name)) && this.#revisionsOf(path, entry)
          found.push(revised ? { ...entry, revised } : entry)
          // The first record is not whole.
          if (revised === undefined) await remove('temp', revisionsPath(path))
        }
      } catch (error) {
        if (isDamage(error)) await remove('corrupt', ...pathsOf(path))
        else failed('read', error)
      }
    }
    return found.sort((a, b) => committedAt(a) - committedAt(b))
  }

  #revisionsOf(path: string, { metadata }: StoredEntry): StoredEntry['revised'] {
    const log = new RevisionLog(path, metadata.sha256, this.#watchdog)
    const last = log.find()
    return last && { log, last: { ...last, committedAt: Math.min(last.committedAt, Date.now()) } }
  }

  async #makeDirectories(): Promise<void> {
    for (const path of [this.#temp, this.#entries])
      await this.#watchdog.run(() => mkdir(path, { recursive: true, mode: 0o700 }))
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

  /** Returns the path for the body of an entry of that key to be committed to; a new name each time. */
  committedPath(key: string): string {
    return join(this.#entries, `${createHash('sha256').update(key).digest('hex')}.${randomUUID()}`)
  }
}

/** The body first: without it, the others count as nothing. */
const pathsOf = (path: string): string[] => [path, metadataPath(path), revisionsPath(path)]

const committedAt = ({ metadata, revised }: StoredEntry): number =>
  revised?.last.committedAt ?? metadata.committedAt

const committedName = /^instance-\d{1,4}\/entries\/[0-9a-f]{64}\.[0-9a-f-]{36}$/

/** Is this the path of a committed body in some instance directory of a cache directory? */
export function isCommittedPath(cacheDirectory: string, path: string): boolean {
  const prefix = join(cacheDirectory, '/')
  return path.startsWith(prefix) && committedName.test(path.slice(prefix.length))
}

/** Size in bytes of the longest metadata that is accepted. */
const metadataMax = 1024 * 1024

/**
 * Reads the metadata of a body; synchronously, because a cache may hold tens of thousands of files, all are read before
 * the first request is accepted, and each costs 30 µs instead of more than 200 µs.
 * @throws the system's error
 */
function readFound(path: string, watchdog: DiskWatchdog): StoredEntry | DiscardReason {
  const handle = openFound(metadataPath(path))
  if (handle === undefined) return withoutMetadata(path)
  try {
    const stats = fstatSync(handle)
    if (!stats.isFile() || stats.size > metadataMax) return 'corrupt'
    const bytes = readAt(handle, 0, stats.size)
    const metadata = decodeMetadata(bytes)
    if (!metadata) return hasOtherFormat(bytes) ? 'format' : 'corrupt'
    const body = statSync(path)
    if (!body.isFile()) return 'corrupt'
    if (body.size !== metadata.length) return body.size < metadata.length ? 'truncated' : 'corrupt'
    const committedAt = plausibleCommitTime(metadata.committedAt, stats, handle)
    return {
      disk: DiskFile.committed(path, body.size, watchdog),
      metadata: { ...metadata, committedAt },
      size: body.size + stats.size,
    }
  } finally {
    closeSync(handle)
  }
}

/** Returns why a body without metadata is of no use. @throws the system's error */
function withoutMetadata(path: string): DiscardReason {
  const handle = openFound(path)
  if (handle === undefined) return 'corrupt'
  try {
    const stats = fstatSync(handle)
    if (!stats.isFile() || stats.size < footerEndLength) return 'corrupt'
    return endsInFooter(readAt(handle, stats.size - footerEndLength, footerEndLength)) ? 'format' : 'corrupt'
  } finally {
    closeSync(handle)
  }
}

function readAt(handle: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  return bytes.subarray(0, readSync(handle, bytes, 0, length, position))
}

/**
 * Returns when an entry was committed, also if the clock was ahead then or is behind now. An entry from the future counts
 * as committed now; the metadata's mtime records that, so that it does not become new again at each start.
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
