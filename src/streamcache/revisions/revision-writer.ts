import type { Rope } from '../memory/rope.js'
import { BaseWriter, type BaseDirectory } from './base-writer.js'
import type { RopeBody, RopeStore } from './rope-body.js'
import { deltaBetween } from './rope-delta.js'
import { StoredRope, type StoredBase, type StoredFiles } from './stored-rope.js'

/** A committed version of a body. */
export interface Version {
  readonly body: RopeBody
  readonly token: string
  /** Milliseconds since 1970. */
  readonly committedAt: number
}

/** The directory that versions are written to; a CacheDirectory is one. */
export interface RevisionDirectory extends StoredFiles, BaseDirectory {
  /** Has the filesystem enough free space? */
  hasSpace(): Promise<boolean>
}

export interface RevisionWriterOptions {
  readonly directory: RevisionDirectory
  /** How long no version must have come before deltas are merged into a new base, in milliseconds. */
  readonly quietMs: number
  /** Called when the bytes on disk have changed. */
  readonly resized: (writer: RevisionWriter) => void
  readonly failed: (operation: 'write' | 'commit' | 'read', error: unknown) => void
  /** Called when memory has no room for a version that could not be written. */
  readonly displaced: (writer: RevisionWriter) => void
  /** Called with the bytes of a delta that was appended. */
  readonly revised: (bytes: number) => void
  /** Called with the bytes of a base that was written. */
  readonly rebased: (bytes: number) => void
}

/** A new base is written when deltas exceed this part of the base, but not before they have as many bytes, or records. */
const deltaPart = 0.25
const deltaMin = 256 * 1024
const recordsMax = 4000

/**
 * Writes the versions of one key to disk in the background, one at a time: each as a delta to the one that was written
 * last, or as a new base. Of versions that come while one is written, only the newest is written next.
 */
export class RevisionWriter implements RopeStore {
  readonly #key: string
  readonly #options: RevisionWriterOptions
  #files: StoredRope | undefined
  /** The version on disk, and its rope if it is known. */
  #stored: { readonly version: Version | undefined; rope: Rope | undefined } | undefined
  #newest: Version | undefined
  #isPending = false
  #working: Promise<void> | undefined
  #quiet: NodeJS.Timeout | undefined
  /** The base that is being written. */
  #rising: BaseWriter | undefined
  #removed = false
  #closed = false

  /**
   * @param files what is on disk; left out: nothing
   * @param version the version on disk; left out: it is not one of a rope
   */
  constructor(key: string, options: RevisionWriterOptions, files?: StoredRope, version?: Version) {
    this.#key = key
    this.#newest = version
    this.#options = options
    this.#files = files
    this.#stored = files && { version, rope: undefined }
    this.#awaitQuiet()
  }

  /** Bytes on disk; 0: nothing is there. */
  get size(): number {
    return this.#files?.size ?? 0
  }

  /** The newest version, written or not. */
  get newest(): Version | undefined {
    return this.#newest
  }

  /**
   * Takes a newer version in place of the newest one.
   * @param base a rope with the bytes of the version before, of which the new one has chunks
   */
  supersede(next: Version, base: Rope | undefined): void {
    if (base && this.#stored && this.#stored.version === this.#newest) this.#stored.rope = base
    this.#newest?.body.keepIn(undefined)
    this.#newest = next
    next.body.keepIn(this)
    this.#write()
  }

  /** Writes the newest version, if it is not on disk. */
  #write(): void {
    clearTimeout(this.#quiet)
    this.#isPending = true
    if (this.#working || this.#removed || this.#closed) return
    this.#run(this.#work())
  }

  #run(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#options.failed('write', error))
      .finally(() => {
        this.#working = undefined
        if (this.#isPending) this.#write()
        else this.#awaitQuiet()
      })
    this.#working = tracked
    this.#options.directory.inBackground(this, tracked)
  }

  async #work(): Promise<void> {
    // A new version is committed before it is written: the cache has counted it by then.
    await Promise.resolve()
    while (this.#isPending && !this.#removed) {
      this.#isPending = false
      const version = this.#newest
      if (!version) return
      const { body } = version
      if (this.stores(body) || !body.rope) continue
      const isStored = await this.#store(version, body.rope)
      if (this.#isGone()) return
      if (isStored) this.#options.resized(this)
      if (this.#newest !== version) continue
      if (isStored) body.stored()
      else body.unstored()
    }
  }

  /** The compiler does not see that it changes during an await. */
  #isGone(): boolean {
    return this.#removed
  }

  async #store(version: Version, rope: Rope): Promise<boolean> {
    if (!(await this.#options.directory.hasSpace()) || this.#removed) return false
    const splices = this.#files?.log.sound && this.#stored?.rope && deltaBetween(this.#stored.rope, rope)
    if (!splices || !this.#files) return this.#writeBase(version, rope)
    const { log, base } = this.#files
    const { token, committedAt } = version
    const bytes = splices.flatMap((splice) => splice.bytes).reduce((sum, { length }) => sum + length, 0)
    const isLarge = log.end + bytes > Math.max(deltaMin, base.length * deltaPart)
    if (isLarge || log.records >= recordsMax) return this.#writeBase(version, rope)
    try {
      const written = await log.append({ token, committedAt, length: rope.length, splices })
      this.#stored = { version, rope }
      this.#options.revised(written)
      return true
    } catch (error) {
      this.#fail('write', error)
      return false
    }
  }

  /** What was on disk before is of no use for later deltas, unless it can be read back. */
  #fail(operation: 'write' | 'commit', error: unknown): void {
    if (this.#removed) return
    if (this.#stored && this.#files?.log.sound === false) this.#stored.rope = undefined
    this.#options.failed(operation, error)
  }

  /** Writes a new base, and removes the old one with its deltas. @returns whether it is there */
  async #writeBase(version: Version, rope: Rope): Promise<boolean> {
    if (this.#removed) return false
    this.#rising = new BaseWriter(this.#options.directory)
    const { token, committedAt } = version
    const label = { key: this.#key, token, committedAt }
    const base = await this.#rising.write(rope, label, (operation, error) => this.#fail(operation, error))
    this.#rising = undefined
    if (!base) return false
    this.#replace(base, version, rope)
    this.#options.rebased(base.length)
    return true
  }

  #replace(base: StoredBase, version: Version, rope: Rope): void {
    const old = this.#files
    const given = this.#stored?.version === version ? this.#stored.rope : undefined
    this.#files = new StoredRope(base, this.#options.directory)
    // A rope that a newer version shares chunks with may have been given meanwhile.
    this.#stored = { version, rope: given ?? rope }
    if (old) this.#options.directory.inBackground(old, old.unlink())
  }

  #awaitQuiet(): void {
    clearTimeout(this.#quiet)
    const { quietMs } = this.#options
    if (this.#removed || this.#closed || !this.#files?.log.end) return
    this.#quiet = setTimeout(() => this.#merge(), quietMs).unref()
  }

  /** Merges the deltas into a new base. */
  #merge(): void {
    if (!this.#working && !this.#removed && !this.#closed) this.#run(this.#mergeNow())
  }

  async #mergeNow(): Promise<void> {
    const { version, rope } = this.#stored ?? {}
    if (!version || !this.#files || !(await this.#options.directory.hasSpace())) return
    try {
      const inMemory = rope ?? version.body.rope
      const known = inMemory ?? (await this.#files.read())
      if (!(await this.#writeBase(version, known)) || this.#removed) return
      this.#forgetUnless(inMemory, known)
      this.#options.resized(this)
    } catch (error) {
      // Damage is found again, and dealt with, when the entry is loaded.
      this.#options.failed('read', error)
    }
  }

  /** The owner of the bytes holds them in another form, if they were not in memory here. */
  #forgetUnless(inMemory: Rope | undefined, read: Rope): void {
    if (!inMemory && this.#stored?.rope === read) this.#stored.rope = undefined
  }

  stores(body: RopeBody): boolean {
    return this.#stored?.version?.body === body
  }

  store(body: RopeBody): void {
    if (body === this.#newest?.body) this.#write()
  }

  async read(body: RopeBody): Promise<Rope> {
    if (!this.#files || !this.stores(body)) throw new Error('this version is not on disk')
    const rope = await this.#files.read()
    if (this.stores(body) && body === this.#newest?.body && this.#stored) this.#stored.rope = rope
    return rope
  }

  released(body: RopeBody): void {
    if (this.stores(body) && this.#stored) this.#stored.rope = undefined
  }

  readFailed(error: unknown): void {
    if (!this.#removed) this.#options.failed('read', error)
  }

  displaced(): void {
    this.#options.displaced(this)
  }

  pathOf(body: RopeBody): string | undefined {
    if (!this.#files || this.#files.log.end > 0 || !this.stores(body)) return undefined
    return this.#files.base.path
  }

  /** Ends the writing, and removes all files. @throws the system's error */
  async unlink(): Promise<void> {
    this.#end()
    await this.#working
    await this.#files?.unlink()
  }

  /** Removes all files before it returns, also one that is being written. */
  unlinkNow(): void {
    this.#end()
    this.#rising?.unlinkNow()
    this.#files?.unlinkNow()
  }

  #end(): void {
    this.#removed = true
    this.#isPending = false
    this.#rising?.stop()
    clearTimeout(this.#quiet)
  }

  /** Resolves when what is being written and what is to be written is on disk, or cannot be written. */
  async close(): Promise<void> {
    clearTimeout(this.#quiet)
    while (this.#working) await this.#working
    this.#closed = true
    clearTimeout(this.#quiet)
  }
}
