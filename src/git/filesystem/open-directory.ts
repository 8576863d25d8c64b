import { LRUCache } from 'lru-cache'
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readlinkSync,
  type BigIntStats,
} from 'node:fs'
import { entriesAtMost } from '../../limits/entries-at-most.js'
import { throwIfTransient } from './system-errors.js'
import { pathText, systemPath } from './byte-path.js'
import { realPath } from './real-path.js'

/** A file or directory: its stable name, and the path by which it is reached now. */
export interface Place {
  /** Stable and unique: begins with the identity of an open directory, or is an absolute path. */
  readonly name: string
  /** For system calls. */
  readonly path: string | Buffer
  /** The path that a guard checks before the place is used; left out: it was checked. */
  readonly real?: string
}

/** Returns a place by its absolute path. */
export const placeOf = (path: string): Place => ({ name: path, path: systemPath(path), real: path })

/** Linux's O_PATH (open(2)), which Node does not define: a directory need not be readable to be entered. */
const openPath = 0o10000000
/**
 * The directory in which this process's descriptors have paths (proc_pid_fd(5)); undefined: this system has none. Then
 * directories are reached by their names, which may lead to other directories later. `/proc/self` would cost one more link
 * per system call.
 */
const descriptors =
  process.platform === 'linux' && existsSync('/proc/self/fd')
    ? `/proc/${readlinkSync('/proc/self')}/fd`
    : undefined
const flags = constants.O_DIRECTORY | (descriptors === undefined ? constants.O_RDONLY : openPath)

/** The places in an open directory by their relative paths, each made once. */
class Places {
  readonly path: string
  readonly prefix: string
  readonly #identity: string
  readonly #known = new Map<string, Place>()

  /** @param prefix reaches the directory in system calls */
  constructor(identity: string, path: string, prefix: string) {
    this.path = path
    this.prefix = prefix
    this.#identity = identity
  }

  at(relative: string): Place {
    const known = this.#known.get(relative)
    if (known) return known
    const place = {
      name: `${this.#identity}/${relative}`,
      path: systemPath(`${this.prefix}/${relative}`),
      real: `${this.path}/${relative}`,
    }
    this.#known.set(relative, place)
    return place
  }
}

/** Most directories whose places are remembered, by identity. What is asked for in each are a dozen names that the code has. */
const placesMax = 1000
const places = new LRUCache<string, Places>(entriesAtMost(placesMax))

/** A directory that is opened again is mostly where it was, and has the same descriptor: then its places are the same too. */
function placesIn(identity: string, path: string, prefix: string): Places {
  const known = places.get(identity)
  if (known?.path === path && known.prefix === prefix) return known
  const made = new Places(identity, path, prefix)
  places.set(identity, made)
  return made
}

/**
 * The directory that a path led to at one moment, held open. Files reached through it are in that directory even if the path
 * is renamed, relinked or mounted over. The caller of `open` closes it.
 */
export class OpenDirectory {
  /** Where it was when it was opened: absolute and free of links. */
  readonly path: string
  /** Unique as long as the directory exists: device, inode and birth time, since inode numbers are reused. */
  readonly identity: string
  /** Its stat when it was opened. */
  readonly stats: BigIntStats
  readonly #descriptor: number
  readonly #places: Places

  private constructor(descriptor: number, path: string, stats: BigIntStats) {
    this.#descriptor = descriptor
    this.path = path
    this.stats = stats
    this.identity = `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`
    const prefix = descriptors === undefined ? path : `${descriptors}/${descriptor}`
    this.#places = placesIn(this.identity, path, prefix)
  }

  /**
   * Opens the directory that a path means now; undefined: there is none that may be entered.
   * @throws the system's error if it says nothing about the path, such as EMFILE
   */
  static open(path: string | Buffer): OpenDirectory | undefined {
    let descriptor: number | undefined
    try {
      descriptor = openSync(path, flags)
      const stats = fstatSync(descriptor, { bigint: true })
      const real = descriptors === undefined ? realPath(path) : linkedPath(`${descriptors}/${descriptor}`)
      // Otherwise it was removed, or its filesystem is not mounted any more.
      if (stats.nlink > 0n && real.startsWith('/')) {
        const directory = new OpenDirectory(descriptor, real, stats)
        descriptor = undefined
        return directory
      }
      return undefined
    } catch (error) {
      throwIfTransient(error)
      return undefined
    } finally {
      if (descriptor !== undefined) closeSync(descriptor)
    }
  }

  /** Returns a place in it, by a relative path. */
  at(relative: string): Place {
    return this.#places.at(relative)
  }

  /** Its path as a working directory for processes that are started while it is open. */
  get workingDirectory(): string {
    return descriptors === undefined ? this.path : `/proc/self/fd/${this.#descriptor}`
  }

  /** For a process that inherits it and is started while it is open. */
  get descriptor(): number {
    return this.#descriptor
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}

/** Returns the path of an open directory for a process that has inherited it as this descriptor. */
export const descriptorPath = (path: string, descriptor: number): string =>
  descriptors === undefined ? path : `/proc/self/fd/${descriptor}`

/** Returns the kernel's path of a descriptor. */
function linkedPath(link: string): string {
  const text = readlinkSync(link)
  return text.includes('\uFFFD') ? pathText(readlinkSync(link, 'buffer')) : text
}
