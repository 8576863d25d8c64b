import type { DiskFile } from './disk-file.js'
import { DiskWatch } from './disk-watch.js'
import { FreeSpace, type Free, type FreeSpaceLimits } from './free-space.js'
import { InstanceDirectory } from './instance-directory.js'
import type { Spill } from './spill.js'
import { Store, type DiscardReason, type Found } from './store.js'

/** What failed: `open` (the directory as a whole), or work on one file. */
export type StoreOperation = 'open' | 'create' | 'write' | 'read' | 'commit' | 'remove'

export interface CacheDirectoryOptions extends FreeSpaceLimits {
  /** Made if need be. */
  readonly directory: string
  /** Longest wait for one operation of its disk, in milliseconds; 10 seconds at most. */
  readonly operationMs: number
  /** Told of each sound file that an earlier process left, oldest first. */
  readonly found: (file: Found) => void
  readonly discarded: (reason: DiscardReason) => void
  readonly failed: (operation: StoreOperation, error: unknown) => void
  /** Told when the filesystem lacks room (and what it has), and when that is over (undefined). */
  readonly roomChanged: (short: Free | undefined) => void
}

/** A cache directory in use: a slot of its own in it, that slot's store, and the work on files that nobody waits for. */
export class CacheDirectory {
  readonly #options: CacheDirectoryOptions
  readonly #watch: DiskWatch
  readonly #space: FreeSpace
  #instance: InstanceDirectory | undefined
  #store: Promise<Store> | undefined
  #closed = false
  /** Files that are being made or removed. */
  readonly #chores = new Set<Promise<void>>()
  /** Files whose removal has failed. */
  readonly #leftovers = new Set<Spill>()

  constructor(options: CacheDirectoryOptions) {
    this.#options = options
    this.#watch = new DiskWatch(options.operationMs)
    this.#space = new FreeSpace(options.directory, options, options.roomChanged, this.#watch)
  }

  /** The number of the slot; undefined as long as the directory cannot be used. */
  get instance(): number | undefined {
    return this.#instance?.number
  }

  /** This process's part of the directory; undefined as above. */
  get own(): string | undefined {
    return this.#instance?.directory
  }

  /** Takes a slot and what is in it; tried again with each file that is to be made until it succeeds. Never rejects. */
  async open(): Promise<void> {
    await this.#open().catch((error: unknown) => this.#options.failed('open', error))
  }

  async #open(): Promise<Store> {
    // Whoever removed the directory has let go of the slot as well: another process may have it now.
    const instance = this.#instance
    const stands = !instance || (await this.#watch.run(() => instance.stands()))
    if (!stands && instance === this.#instance) await this.#leave()
    this.#store ??= this.#takeInstance().catch(async (error: unknown) => {
      await this.#leave()
      throw error
    })
    return this.#store
  }

  async #takeInstance(): Promise<Store> {
    const { directory, discarded, failed, found } = this.#options
    this.#instance = await this.#watch.run(
      () => InstanceDirectory.take(directory),
      (late) => void late.release(),
    )
    const store = new Store(this.#instance.directory, this.#watch)
    for (const each of await store.scan(discarded, failed)) found(each)
    return store
  }

  async #leave(): Promise<void> {
    const instance = this.#instance
    this.#instance = undefined
    this.#store = undefined
    await instance?.release()
  }

  /** A new temporary file; undefined if there is no room for it, or if the disk fails, which is told. */
  async create(): Promise<DiskFile | undefined> {
    if (this.#closed) return undefined
    try {
      const store = await this.#open()
      if (!(await this.#space.enough())) return undefined
      return await store.create()
    } catch (error) {
      this.#options.failed('create', error)
      return undefined
    }
  }

  /**
   * Gives a file its footer and a final name.
   * @returns its size in bytes on disk; undefined if the disk has failed, now or before, which has been told
   */
  async commit(spill: Spill, footer: Buffer, key: string): Promise<number | undefined> {
    try {
      const store = await this.#store
      if (!store) return undefined
      const size = await spill.commit(footer, store.committedPath(key))
      if (size !== undefined) this.#removeLeftovers()
      return size
    } catch (error) {
      this.#options.failed('commit', error)
      return undefined
    }
  }

  /** Work on a file that nobody waits for but close(). It rejects if the file could not be removed. */
  chore(spill: Spill, work: Promise<void>): void {
    const chore = work
      .catch((error: unknown) => {
        this.#leftovers.add(spill)
        this.#options.failed('remove', error)
      })
      .finally(() => this.#chores.delete(chore))
    this.#chores.add(chore)
  }

  /** What a disk that failed did not let go, it may now. */
  #removeLeftovers(): void {
    const leftovers = [...this.#leftovers]
    this.#leftovers.clear()
    for (const spill of leftovers) this.chore(spill, spill.unlink())
  }

  /** To be called now and then. */
  sweep(): void {
    this.#removeLeftovers()
    // Tells that there is room again even if nobody asks for anything.
    void this.#space.enough()
  }

  /** Waits for the work on files, and leaves the slot to the next process. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#chores)
    await this.#leave()
  }
}
