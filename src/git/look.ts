import { createHash } from 'node:crypto'
import { lstatSync, readFileSync, statSync, type BigIntStats } from 'node:fs'
import { LRUCache } from 'lru-cache'

/**
 * Milliseconds in which two changes may leave the same timestamp: Linux stamps files with the time of the last timer
 * tick, 10 ms at the coarsest (CONFIG_HZ=100); doubled for safety.
 */
const tickMs = 20
/** The same for filesystems that keep whole seconds only (two on FAT); their timestamps end in nine zeros. */
const coarseTickMs = 2000

/** Errors that say that there is nothing that Git could read either. ENOTDIR: `/dev/null/.gitconfig`. */
const unreadable = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG'])

/** What was worked out from a file or directory, and the state of the inode that it was worked out from. */
export interface Derived {
  readonly version: string
  readonly value: unknown
}

/** Memory for what looks derive; shared by all looks, bounded by number of files. */
export type LookMemory = LRUCache<string, Derived>

/** Counted by `maxSize`, so that it grows with what is remembered; `max` would lay out the room for all of it at once. */
export const createLookMemory = (): LookMemory => new LRUCache({ maxSize: 50_000, sizeCalculation: () => 1 })

/**
 * One look at a repository on disk: collects what it sees into a digest, and knows whether that can be trusted.
 *
 * It uses synchronous calls: a stat of what the kernel has cached takes 2 µs so and 14 µs of CPU through the thread
 * pool, and an ordinary look is some twenty of them. Whoever looks at many directories yields between them.
 */
export class Look {
  readonly #memory: LookMemory
  readonly #startedAtMs = Date.now()
  /** Hashed all at once: many small updates of a hash cost more than what they hash. */
  readonly #seen: string[] = []
  #settlesAtMs = 0

  constructor(memory: LookMemory) {
    this.#memory = memory
  }

  /**
   * Looks at a file or directory and takes device, inode, size and timestamps into the digest; links are followed.
   * undefined: there is none that Git could read, which is taken in too.
   * @throws the system's error if even that cannot be known (EIO)
   */
  stat(path: string | Buffer): BigIntStats | undefined {
    return this.#look(path, statSync)
  }

  /** The same without following a link at the path's end. */
  lstat(path: string): BigIntStats | undefined {
    return this.#look(path, lstatSync)
  }

  /** Takes any text into the digest. */
  note(text: string): void {
    this.#seen.push(text)
  }

  #look(path: string | Buffer, stat: typeof statSync): BigIntStats | undefined {
    const name = path.toString('latin1')
    try {
      const stats = stat(path, { bigint: true, throwIfNoEntry: false })
      this.note(`${name} ${stats ? version(stats) : '-'}`)
      if (stats) this.#settlesAtMs = Math.max(this.#settlesAtMs, settlesAtMs(stats))
      return stats
    } catch (error) {
      this.#unreadable(name, error)
      return undefined
    }
  }

  /** What we may not enter Git may not either: as good as absent, as long as it stays so. */
  #unreadable(path: string, error: unknown): void {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!unreadable.has(code)) throw error
    this.note(`${path} ${code}`)
  }

  /** Takes a file's bytes into the digest, for files whose stat may stay the same over a change. */
  content(path: string): void {
    try {
      const isFile = statSync(path, { throwIfNoEntry: false })?.isFile()
      this.note(`${path} ${isFile ? readFileSync(path, 'latin1') : '-'}`)
    } catch (error) {
      this.#unreadable(path, error)
    }
  }

  /**
   * What `derive` makes of a file or directory: from memory if its inode has not changed since it was worked out.
   * `what` names the kind of value, since one file may be read for two reasons.
   */
  derive<T>(what: string, path: string, stats: BigIntStats, derive: () => T): T {
    const name = `${what} ${path}`
    const known = this.#memory.get(name)
    const seen = version(stats)
    if (known?.version === seen) return known.value as T
    const value = derive()
    // A change within the same tick would leave the same version: such a value may be used but not kept.
    if (settlesAtMs(stats) <= this.#startedAtMs) this.#memory.set(name, { version: seen, value })
    return value
  }

  /** The digest of all that was seen so far. */
  digest(): string {
    return createHash('sha1').update(this.#seen.join('\0')).digest('base64url')
  }

  /**
   * Milliseconds after which the same sight could be trusted; 0: it can be now. A timestamp as young as the clock's
   * tick cannot: another change might hide behind it (as in "racy git", Documentation/technical/racy-git.txt).
   */
  get unsettledMs(): number {
    return Math.max(0, this.#settlesAtMs - this.#startedAtMs)
  }
}

const version = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`

/** ctime decides, because nobody can set it: every change of a file or of a directory's names moves it to now. */
function settlesAtMs({ ctimeNs }: BigIntStats): number {
  const tick = ctimeNs % 1_000_000_000n === 0n ? coarseTickMs : tickMs
  return Number(ctimeNs / 1_000_000n) + 1 + tick
}
