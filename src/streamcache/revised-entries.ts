import type { StreamCacheEvents } from './cache-options.js'
import type { CommittedEntries } from './committed-entries.js'
import type { CacheDirectory, StoreOperation } from './disk/cache-directory.js'
import type { StoredEntry } from './disk/stored-entry.js'
import { Entry } from './entry.js'
import { GrowingFile } from './growing/growing-file.js'
import type { GrowingFileOptions } from './growing/growing-file-options.js'
import type { RopeBody } from './revisions/rope-body.js'
import { RevisionWriter, type RevisionWriterOptions } from './revisions/revision-writer.js'
import { StoredRope } from './revisions/stored-rope.js'

export interface RevisedEntriesOptions {
  readonly directory: CacheDirectory
  readonly committed: CommittedEntries
  /** Longest rope that is kept, in bytes. */
  readonly maxEntryBytes: number
  readonly quietMs: number | undefined
  readonly events: StreamCacheEvents | undefined
  readonly failed: (operation: StoreOperation, error: unknown) => void
}

/** An entry that an earlier process stored. */
export interface RestoredEntry {
  readonly entry: Entry
  /** Bytes on disk. */
  readonly size: number
  /** Milliseconds since 1970. */
  readonly committedAt: number
}

const defaultQuietMs = 60_000

/**
 * The committed entries that are ropes, and what is written of them. They are committed in memory at once. A writer, with
 * the files that it has written, passes from each entry to the one that supersedes it.
 */
export class RevisedEntries {
  readonly #options: RevisedEntriesOptions
  readonly #writerOptions: RevisionWriterOptions
  readonly #writers = new Map<RopeBody, RevisionWriter>()
  readonly #entries = new Map<RevisionWriter, Entry>()

  constructor(options: RevisedEntriesOptions) {
    const { directory, quietMs = defaultQuietMs, events, failed } = options
    this.#options = options
    this.#writerOptions = {
      directory,
      quietMs,
      failed,
      resized: (writer) => this.#resize(writer),
      displaced: (writer) => this.#drop(writer, 'memory'),
      revised: (bytes) => events?.revised?.(bytes),
      rebased: (bytes) => events?.rebased?.(bytes),
    }
  }

  /** Returns an entry that an earlier process stored, with or without revisions. */
  restore(found: StoredEntry, options: GrowingFileOptions): RestoredEntry {
    const { disk, metadata, size, revised } = found
    const { key, token, length, sha256, committedAt } = metadata
    if (revised) return this.#restoreRevised(found, revised, options)
    const file = GrowingFile.stored(disk, length, sha256, options)
    return { entry: new Entry(key, token, file), size, committedAt }
  }

  #restoreRevised(
    { disk, metadata, size }: StoredEntry,
    { log, last }: NonNullable<StoredEntry['revised']>,
    options: GrowingFileOptions,
  ): RestoredEntry {
    const { key, length, sha256 } = metadata
    const entry = new Entry(key, last.token, GrowingFile.revised(last.length, options))
    const body = entry.file.body as RopeBody
    const path = disk.committedPath as string
    const base = { path, length, sha256, metadataLength: size - length }
    const stored = new StoredRope(base, this.#options.directory, log)
    const { token, committedAt } = last
    const version = { body, token, committedAt }
    const writer = new RevisionWriter(key, this.#writerOptions, stored, version)
    body.keepIn(writer)
    this.#writers.set(body, writer)
    this.#entries.set(writer, entry)
    return { entry, size: writer.size, committedAt }
  }

  /**
   * Keeps an entry that is a rope, and has it written in the background: to be called just before it is committed in place
   * of the current one.
   * @returns the bytes that count against `maxBytes`; undefined: it is too large
   */
  keep(entry: Entry, committedAt: number): number | undefined {
    const { committed, maxEntryBytes } = this.#options
    const { key, token, base, length } = entry
    const body = entry.file.body
    if (!body || token === undefined || length > maxEntryBytes || !committed.accepts(length)) return undefined
    const current = committed.peek(key)
    const isBase = current !== undefined && current === base?.entry
    const version = { body, token, committedAt }
    const writer =
      (isBase && this.#writerOf(current, committed.sizeOf(current))) ||
      new RevisionWriter(key, this.#writerOptions)
    if (writer.newest) this.#writers.delete(writer.newest.body)
    this.#writers.set(body, writer)
    this.#entries.set(writer, entry)
    writer.supersede(version, base?.rope)
    return Math.max(1, writer.size || length)
  }

  /** Returns the writer of a committed entry, which may be a body on disk so far; undefined: there can be none. */
  #writerOf({ key, file }: Entry, size = 0): RevisionWriter | undefined {
    if (file.body) return this.#writers.get(file.body)
    const { spill, sha256, length } = file
    const { path } = spill
    if (spill.borrowed || path === undefined || sha256 === undefined) return undefined
    const stored = new StoredRope(
      { path, length, sha256, metadataLength: size - length },
      this.#options.directory,
    )
    stored.use(spill.passOn()).catch(() => {})
    return new RevisionWriter(key, this.#writerOptions, stored)
  }

  #resize(writer: RevisionWriter): void {
    const entry = this.#entries.get(writer)
    if (!entry) return
    const { committed } = this.#options
    if (!committed.accepts(writer.size)) this.#drop(writer, 'size')
    else committed.resize(entry, writer.size)
  }

  #drop(writer: RevisionWriter, reason: 'memory' | 'size'): void {
    const entry = this.#entries.get(writer)
    if (entry && this.#options.committed.delete(entry)) this.#options.events?.evicted?.(reason)
  }

  /** Removes what is stored of an entry that is not committed any more, unless a newer one has it. */
  forget({ file }: Entry): void {
    const { body } = file
    const writer = body && this.#writers.get(body)
    if (!writer) return
    this.#writers.delete(body)
    this.#entries.delete(writer)
    this.#options.directory.inBackground(writer, writer.unlink())
  }

  /** Removes the files of an entry before it returns. */
  erase({ file }: Entry): void {
    try {
      if (file.body) this.#writers.get(file.body)?.unlinkNow()
    } catch {
      // forget() tries again, and reports a failure.
    }
  }

  /** Resolves when all versions are written, or cannot be written. */
  async close(): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((writer) => writer.close()))
  }
}
