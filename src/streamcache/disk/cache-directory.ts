import { lstat } from 'node:fs/promises'
import { DiskFile } from './disk-file.js'
import { DiskWatchdog } from './disk-watchdog.js'
import { FreeSpace, type Free, type FreeSpaceLimits } from './free-space.js'
import { InstanceDirectory } from './instance-directory.js'
import { RevisionLog } from './revision-log.js'
import type { StoreScanEvents } from './store-scan.js'
import { isCommittedPath, Store } from './store.js'

/** The operation that failed: `open` (the directory as a whole), or work on one file. */
export type StoreOperation = 'open' | 'create' | 'write' | 'read' | 'commit' | 'remove'

export interface CacheDirectoryOptions extends FreeSpaceLimits, Pick<StoreScanEvents, 'found' | 'discarded'> {
  /** Created if it does not exist. */
  readonly directory: string
  /** Longest wait for one operation of the disk, in milliseconds; 10 seconds at most. */
  readonly operationMs: number
  /** Called when a scan of what earlier processes left has begun, and when it has ended. */
  readonly scanning: (isRunning: boolean) => void
  readonly failed: (operation: StoreOperation, error: unknown) => void
  /** Called when the filesystem lacks free space (with what it has), and when that is over (undefined). */
  readonly spaceChanged: (short: Free | undefined) => void
}

/** What can be removed from disk, again if that has failed. */
export interface Removable {
  /** Removes its files, if they are there. */
  unlink(): Promise<void>
}

/** An entry's file as the directory sees it; a Spill is one. Its removal includes its metadata. */
export interface StoredFile extends Removable {
  /**
   * Gives the file its metadata and its final name.
   * @returns the size of both in bytes on disk; undefined if the disk has failed before, which has been reported
   */
  commit(metadata: Buffer, path: string): Promise<number | undefined>
}

/** A body that another process owns, and when that has committed it, in milliseconds since 1970. */
export interface BorrowedFile {
  readonly disk: DiskFile
  readonly committedAt: number
}

/** A cache directory in use: this process's instance directory in it, its store, and the background work on files. */
export class CacheDirectory {
  readonly #options: CacheDirectoryOptions
  readonly #watchdog: DiskWatchdog
  readonly #space: FreeSpace
  #instance: InstanceDirectory | undefined
  #store: Promise<Store> | undefined
  /** The store while what earlier processes left in it is being read. */
  #scanned: Store | undefined
  #listing: Promise<void> | undefined
  #claimed: (() => void) | undefined
  #scan: Promise<void> | undefined
  #closed = false
  /** Files that are being created or removed. */
  readonly #background = new Set<Promise<void>>()
  /** Files whose removal has failed. */
  readonly #leftovers = new Set<Removable>()

  constructor(options: CacheDirectoryOptions) {
    this.#options = options
    this.#watchdog = new DiskWatchdog(options.operationMs)
    this.#space = new FreeSpace(options.directory, options, options.spaceChanged, this.#watchdog)
  }

  /** The number of the instance directory; undefined as long as the cache directory cannot be used. */
  get instance(): number | undefined {
    return this.#instance?.number
  }

  /** The path of the instance directory; undefined as for `instance`. */
  get own(): string | undefined {
    return this.#instance?.directory
  }

  /** Did the filesystem have too little free space when it was last looked at? */
  get short(): boolean {
    return this.#space.short
  }

  /** Looks at the filesystem's free space, for `short`. */
  checkSpace(): void {
    void this.#space.enough()
  }

  /**
   * Acquires an instance directory, and begins to read its files in the background; create() tries again if this fails.
   * Never rejects.
   */
  async open(): Promise<void> {
    const claimed = new Promise<void>((resolve) => (this.#claimed = resolve))
    this.#listing = this.#open()
      .then(
        () => {},
        (error: unknown) => this.#options.failed('open', error),
      )
      .then(() => (this.#listing = undefined))
    await Promise.race([claimed, this.#listing])
  }

  /** Resolves when the files of earlier processes are listed, so that reach() finds them; undefined: they are. */
  get listing(): Promise<void> | undefined {
    return this.#listing
  }

  /** Reads what earlier processes left of a key, unless that is done or they are not listed yet. */
  reach(key: string): void {
    this.#scanned?.scan.reach(key)
  }

  /** Reads what earlier processes left of a key, unless that is done. Blocks on the disk. */
  reachNow(key: string): void {
    this.#scanned?.scan.reachNow(key)
  }

  /** Reads all that earlier processes left, unless that is done. Blocks on the disk. */
  reachAll(): void {
    this.#scanned?.scan.finish()
  }

  async #open(): Promise<Store> {
    // If the directory was removed, its claim was too, and another process may hold this number now.
    const instance = this.#instance
    const held = !instance || (await this.#watchdog.run(() => instance.isHeld()))
    if (!held && instance === this.#instance) await this.#leave()
    this.#store ??= this.#acquire().catch(async (error: unknown) => {
      await this.#leave()
      throw error
    })
    return this.#store
  }

  async #acquire(): Promise<Store> {
    const { directory } = this.#options
    this.#instance = await this.#watchdog.run(
      () => InstanceDirectory.acquire(directory),
      (late) => void late.release(),
    )
    const store = new Store(this.#instance.directory, this.#options, this.#watchdog)
    this.#scanned = store
    this.#options.scanning(true)
    this.#claimed?.()
    await store.open()
    this.#scan = store.scan.run().then(() => this.#endScan(store))
    return store
  }

  #endScan(store: Store): void {
    if (this.#scanned !== store) return
    this.#scanned = undefined
    this.#options.scanning(false)
  }

  async #leave(): Promise<void> {
    const instance = this.#instance
    this.#instance = undefined
    this.#store = undefined
    const scanned = this.#scanned
    scanned?.scan.stop()
    await this.#scan
    if (scanned) this.#endScan(scanned)
    await instance?.release()
  }

  /**
   * Creates a temporary file; undefined if there is too little free space, or if the disk fails or has too much to do, which
   * is reported.
   */
  async create(): Promise<DiskFile | undefined> {
    if (this.#closed) return undefined
    try {
      if (this.#watchdog.behind) throw new Error('the disk has too much to do')
      const store = await this.#open()
      if (!(await this.#space.enough())) return undefined
      return await store.create()
    } catch (error) {
      this.#options.failed('create', error)
      return undefined
    }
  }

  /**
   * Gives a file its metadata and its final name.
   * @returns the size of both in bytes on disk; undefined if the disk has failed, now or before, which has been reported
   */
  async commit(file: StoredFile, metadata: Buffer, key: string): Promise<number | undefined> {
    try {
      const store = await this.#store
      if (!store) return undefined
      const size = await file.commit(metadata, store.committedPath(key))
      if (size !== undefined) this.#removeLeftovers()
      return size
    } catch (error) {
      this.#options.failed('commit', error)
      return undefined
    }
  }

  /**
   * Finds a committed body of any process that uses this cache directory.
   * @returns undefined: there is none of that length at this path, or the path is another one
   */
  async borrow(path: string, length: number): Promise<BorrowedFile | undefined> {
    if (this.#closed || !isCommittedPath(this.#options.directory, path)) return undefined
    try {
      const stats = await this.#watchdog.run(() => lstat(path))
      if (!stats.isFile() || stats.size !== length) return undefined
      // Its last write was shortly before its commit.
      return { disk: DiskFile.borrowed(path, length, this.#watchdog), committedAt: stats.mtimeMs }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#options.failed('read', error)
      return undefined
    }
  }

  /** Returns a committed body of that many bytes in this directory. */
  body(path: string, length: number): DiskFile {
    return DiskFile.committed(path, length, this.#watchdog)
  }

  /** Returns the revisions of a committed body. @param sha256 of the body, in hexadecimal */
  revisions(path: string, sha256: string): RevisionLog {
    return new RevisionLog(path, sha256, this.#watchdog)
  }

  /** Returns a path for a new body of a key; undefined: the directory cannot be used. */
  async committedPath(key: string): Promise<string | undefined> {
    const store = await this.#store?.catch(() => undefined)
    return store?.committedPath(key)
  }

  /** Looks at the filesystem's free space: is there enough? */
  hasSpace(): Promise<boolean> {
    return this.#space.enough()
  }

  /** Tracks work on a file until it ends; only close() waits for it. The work rejects if the file cannot be removed. */
  inBackground(file: Removable, work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        this.#leftovers.add(file)
        this.#options.failed('remove', error)
      })
      .finally(() => this.#background.delete(tracked))
    this.#background.add(tracked)
  }

  /** Resolves when the work on files that runs now has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#background)
  }

  /** Tries again to remove the files that a failing disk did not remove. */
  #removeLeftovers(): void {
    const leftovers = [...this.#leftovers]
    this.#leftovers.clear()
    for (const file of leftovers) this.inBackground(file, file.unlink())
  }

  /** Does periodic work; to be called from time to time. */
  sweep(): void {
    this.#removeLeftovers()
    // Reports that there is enough space again, even without a request.
    this.checkSpace()
  }

  /** Waits for the work on files, and releases the instance directory for the next process. */
  async close(): Promise<void> {
    this.#closed = true
    this.#scanned?.scan.stop()
    await this.#listing
    // Work that ends may begin some more.
    while (this.#background.size > 0) await Promise.all(this.#background)
    await this.#leave()
  }
}
