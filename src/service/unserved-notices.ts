import { LRUCache } from 'lru-cache'
import type { Log } from '../telemetry/log.js'

/** Why a repository that is there is not served. */
export type UnservedReason =
  /** It has no git-daemon-export-ok, and not all are exported. */
  | 'not-exported'
  /** A link or gitfile on its path leads out of the root. */
  | 'outside-root'
  /** This process may not read it (EACCES, EPERM). */
  | 'unreadable'
  /** Something else lies in it as `.git`, which Git would enter instead. */
  | 'nested'

const todo: Readonly<Record<UnservedReason, string>> = {
  'not-exported':
    'a repository exists and is not exported, so it is not served: create git-daemon-export-ok in it, or serve with --export-all',
  'outside-root':
    'a repository lies outside of the root, by a link or gitfile, so it is not served: serve a root that holds it',
  unreadable:
    'a repository cannot be read by this process, so it is not served: change its permissions or the user',
  nested:
    'something else lies in a repository as .git, which Git would enter instead, so it is not served: move one of them',
}

export interface UnservedNoticesOptions {
  readonly log: Pick<Log, 'warn'>
  /** Most notices of one minute; what is left out is counted in the next one. */
  readonly perMinute?: number
  /** Most notices that are remembered. */
  readonly max?: number
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number
}

const minuteMs = 60_000

/**
 * Tells the log, once for each repository and reason, of repositories that are asked for, are there, and are not served:
 * clients hear "not found", and nobody else would hear anything. Clients decide what is asked for, so lines and memory
 * are bounded.
 */
export class UnservedNotices {
  readonly #log: Pick<Log, 'warn'>
  readonly #perMinute: number
  readonly #now: () => number
  readonly #told: LRUCache<string, true>
  #minuteBegan = -Infinity
  #inMinute = 0
  #leftOut = 0

  constructor({ log, perMinute = 10, max = 1000, now = () => performance.now() }: UnservedNoticesOptions) {
    this.#log = log
    this.#perMinute = perMinute
    this.#now = now
    this.#told = new LRUCache({ max })
  }

  /**
   * Cheap enough for each request: a map lookup if it was told before.
   * @param path of the repository, the same for all its names, so that it is told once
   * @param detail what the system or Git said, on one line
   */
  tell(path: string, reason: UnservedReason, detail?: string): void {
    const key = `${reason} ${path}`
    if (this.#told.get(key)) return
    const now = this.#now()
    if (now - this.#minuteBegan >= minuteMs) {
      this.#minuteBegan = now
      this.#inMinute = 0
    }
    if (this.#inMinute >= this.#perMinute) {
      // Not told, so it may be told later.
      this.#leftOut++
      return
    }
    this.#inMinute++
    this.#told.set(key, true)
    const leftOut = this.#leftOut === 0 ? {} : { leftOut: this.#leftOut }
    this.#leftOut = 0
    this.#log.warn({ path, reason, ...(detail === undefined ? {} : { detail }), ...leftOut }, todo[reason])
  }

  /** The repository is served now: if that ends, it is told again. */
  served(path: string): void {
    if (this.#told.size === 0) return
    for (const reason of Object.keys(todo)) this.#told.delete(`${reason} ${path}`)
  }
}
