import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readlinkSync,
  type BigIntStats,
} from 'node:fs'
import { throwIfTransient } from './system-errors.js'
import { pathText, systemPath } from './byte-path.js'
import { realPath } from './real-path.js'

/** A file or directory: how it is called, and how it is reached now. */
export interface Place {
  /** Stable, and of no other file: the directory's identity or the absolute path comes first. */
  readonly name: string
  /** For system calls. */
  readonly path: string | Buffer
  /** What a guard checks before the place is touched: where it is, by names; left out: that was checked. */
  readonly real?: string
}

/** A place by its absolute path. */
export const placeOf = (path: string): Place => ({ name: path, path: systemPath(path), real: path })

/** Linux's O_PATH (open(2)), which Node does not name: a directory need not be readable to be entered. */
const openPath = 0o10000000
/**
 * Where this process's descriptors have paths (proc_pid_fd(5)); undefined: this system has none. Then directories are
 * reached by their names, which may come to mean others meanwhile. Through `self` it would cost another link each time.
 */
const descriptors =
  process.platform === 'linux' && existsSync('/proc/self/fd')
    ? `/proc/${readlinkSync('/proc/self')}/fd`
    : undefined
const flags = constants.O_DIRECTORY | (descriptors === undefined ? constants.O_RDONLY : openPath)

/**
 * A directory as a path meant it at one moment. What is reached through it is in that very directory, whatever the path
 * comes to mean meanwhile: renamed, exchanged with a link, hidden by a mount. Whoever opens it closes it.
 */
export class OpenDirectory {
  /** Where it was when it was opened: absolute and free of links. */
  readonly path: string
  /** Of no other directory, for as long as it exists: inode numbers are given again, with another time of birth. */
  readonly identity: string
  /** As it was when it was opened. */
  readonly stats: BigIntStats
  readonly #descriptor: number
  readonly #prefix: string

  private constructor(descriptor: number, path: string, stats: BigIntStats) {
    this.#descriptor = descriptor
    this.path = path
    this.stats = stats
    this.identity = `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`
    this.#prefix = descriptors === undefined ? path : `${descriptors}/${descriptor}`
  }

  /**
   * Opens what a path means now; undefined: no directory, or none that may be entered.
   * @throws the system's error that says nothing of it, such as EMFILE
   */
  static open(path: string | Buffer): OpenDirectory | undefined {
    let descriptor: number | undefined
    try {
      descriptor = openSync(path, flags)
      const stats = fstatSync(descriptor, { bigint: true })
      const real = descriptors === undefined ? realPath(path) : linkedPath(`${descriptors}/${descriptor}`)
      // Removed, or on a filesystem that is not mounted any more.
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

  /** A place in it, by a relative path. */
  at(relative: string): Place {
    return {
      name: `${this.identity}/${relative}`,
      path: systemPath(`${this.#prefix}/${relative}`),
      real: `${this.path}/${relative}`,
    }
  }

  /** The directory itself, as a working directory for processes that are started while it is open. */
  get workingDirectory(): string {
    return descriptors === undefined ? this.path : `/proc/self/fd/${this.#descriptor}`
  }

  /** To hand on to a process that is started while it is open. */
  get descriptor(): number {
    return this.#descriptor
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}

/** The path of an open directory for a process that has been handed it as that descriptor. */
export const handedOnPath = (path: string, descriptor: number): string =>
  descriptors === undefined ? path : `/proc/self/fd/${descriptor}`

/** The path of a descriptor, as the kernel has it. */
function linkedPath(link: string): string {
  const text = readlinkSync(link)
  return text.includes('\uFFFD') ? pathText(readlinkSync(link, 'buffer')) : text
}
