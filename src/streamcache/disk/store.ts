import { randomUUID } from 'node:crypto'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DiskFile } from './disk-file.js'
import { DiskWatchdog } from './disk-watchdog.js'
import { digestOfKey, removeFiles, StoreScan, type StoreScanEvents } from './store-scan.js'

/**
 * The files of one instance directory: growing bodies in `temp/`, committed ones in `entries/`, moved by one rename once
 * their metadata is beside their new name. Names are digests of keys plus a random part, so that a new entry never takes
 * the name of one that is being read.
 */
export class Store {
  readonly #temp: string
  readonly #entries: string
  readonly #watchdog: DiskWatchdog
  readonly #events: StoreScanEvents
  /** Of what earlier processes committed; to be run when this is open. */
  readonly scan: StoreScan

  constructor(directory: string, events: StoreScanEvents, watchdog = new DiskWatchdog()) {
    this.#watchdog = watchdog
    this.#events = events
    this.#temp = join(directory, 'temp')
    this.#entries = join(directory, 'entries')
    this.scan = new StoreScan(this.#entries, watchdog, events)
  }

  /**
   * Creates the directories, empties temp/, and lists the committed files; before anything is created here.
   * @throws if the directories cannot be created or listed
   */
  async open(): Promise<void> {
    await this.#makeDirectories()
    const { discarded, failed } = this.#events
    for (const name of await this.#watchdog.run(() => readdir(this.#temp))) {
      await removeFiles(this.#watchdog, [join(this.#temp, name)]).then(
        () => discarded('temp'),
        (error: unknown) => failed('remove', error),
      )
    }
    await this.scan.list()
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
    return join(this.#entries, `${digestOfKey(key)}.${randomUUID()}`)
  }
}

const committedName = /^instance-\d{1,4}\/entries\/[0-9a-f]{64}\.[0-9a-f-]{36}$/

/** Is this the path of a committed body in some instance directory of a cache directory? */
export function isCommittedPath(cacheDirectory: string, path: string): boolean {
  const prefix = join(cacheDirectory, '/')
  return path.startsWith(prefix) && committedName.test(path.slice(prefix.length))
}
