import type { CommittedEntries, EvictionReason, InMemory } from './committed-entries.js'
import type { CacheDirectory } from './disk/cache-directory.js'
import type { Entry } from './entry.js'
import type { OwnedFile } from './growing/growing-file-options.js'
import type { HotTier } from './memory/hot-tier.js'

export interface InMemoryEntriesOptions {
  readonly hot: HotTier
  readonly committed: CommittedEntries
  readonly directory: CacheDirectory
  /** Commits an entry's file on disk. @returns its bytes there; undefined: it could not be stored */
  readonly store: (entry: Entry, committedAt: number) => Promise<number | undefined>
  /** Ends the use of an entry that is not committed any more. */
  readonly abandon: (entry: Entry) => void
  readonly evicted: (reason: EvictionReason) => void
}

/** The committed entries that are in memory only, because nothing has asked for the disk yet: see GrowingFile. */
export class InMemoryEntries {
  readonly #options: InMemoryEntriesOptions
  readonly #entries = new Map<OwnedFile, InMemory>()

  constructor(options: InMemoryEntriesOptions) {
    this.#options = options
  }

  has(file: OwnedFile): boolean {
    return this.#entries.has(file)
  }

  forget(file: OwnedFile): void {
    this.#entries.delete(file)
  }

  /** @returns the bytes that count against `maxBytes`; undefined: there is no room in memory */
  keep(entry: Entry, committedAt: number): number | undefined {
    const { file } = entry
    const size = Math.max(1, file.length)
    if (!this.#options.hot.holds(file) || !this.#options.committed.accepts(size)) return undefined
    file.spill.keepInMemory()
    this.#entries.set(file, { entry, committedAt })
    return size
  }

  /** Writes an entry to disk for which memory has no room any more; one that nothing has shared is dropped. */
  displace(file: OwnedFile): void {
    const held = this.#entries.get(file)
    if (!held) return
    const { committed, directory, evicted } = this.#options
    if (file.shared) directory.inBackground(file.spill, this.#moveToDisk(held))
    else if (committed.delete(held.entry)) evicted('memory')
  }

  async #moveToDisk({ entry, committedAt }: InMemory): Promise<void> {
    const { committed, store, abandon } = this.#options
    entry.file.store()
    const size = await store(entry, committedAt)
    this.#entries.delete(entry.file)
    // It may have been evicted meanwhile.
    if (size === undefined || !committed.resize(entry, size)) {
      committed.delete(entry)
      abandon(entry)
    }
    entry.file.release()
  }
}
