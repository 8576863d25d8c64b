import { LRUCache } from 'lru-cache'
import type { Log } from '../../telemetry/log.js'

/** Why a repository that is there is not served. */
export type UnservedReason =
  /** It has no git-daemon-export-ok, and not all are exported. */
  | 'not-exported'
  /** A link or gitfile on its path leads out of the root. */
  | 'outside-root'
  /** This process may not read it (EACCES, EPERM). */
  | 'unreadable'
  /** It contains another repository as `.git`, which Git would use instead. */
  | 'nested'

const messages: Readonly<Record<UnservedReason, string>> = {
  'not-exported':
    'a repository is not exported, so it is not served: create git-daemon-export-ok in it, or serve with --export-all',
  'outside-root':
    'a link or gitfile leads to a repository outside of the root, so it is not served: use a root that contains it',
  unreadable:
    'a repository cannot be read, so it is not served: change its permissions, or the user of this process',
  nested:
    'a repository contains another one as .git, which Git would use instead, so it is not served: move one of them',
}

export interface UnservedNoticesOptions {
  readonly log: Pick<Log, 'warn'>
  /** Most notices per minute; the next one has the number of those that were left out. */
  readonly perMinute?: number
  /** Most notices that are remembered; LRU. */
  readonly max?: number
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number
}

const minuteMs = 60_000

/**
 * Logs, once for each repository and reason, that a repository which clients ask for exists and is not served: clients get
 * 404, which does not say so. Clients decide what is asked for, so lines and memory are bounded.
 */
export class UnservedNotices {
  readonly #log: Pick<Log, 'warn'>
  readonly #perMinute: number
  readonly #now: () => number
  readonly #noticed: LRUCache<string, true>
  #minuteStart = -Infinity
  #inMinute = 0
  #leftOut = 0

  constructor({ log, perMinute = 10, max = 1000, now = () => performance.now() }: UnservedNoticesOptions) {
    this.#log = log
    this.#perMinute = perMinute
    this.#now = now
    this.#noticed = new LRUCache({ max })
  }

  /**
   * Logs a notice. Cheap enough for each request: a map lookup if it was logged before.
   * @param path of the repository, the same for all its names, so that it is logged once
   * @param detail the message of the system or of Git, on one line
   */
  tell(path: string, reason: UnservedReason, detail?: string): void {
    const key = `${reason} ${path}`
    if (this.#noticed.get(key)) return
    const now = this.#now()
    if (now - this.#minuteStart >= minuteMs) {
      this.#minuteStart = now
      this.#inMinute = 0
    }
    if (this.#inMinute >= this.#perMinute) {
      // Not remembered, so that it can be logged later.
      this.#leftOut++
      return
    }
    this.#inMinute++
    this.#noticed.set(key, true)
    const leftOut = this.#leftOut === 0 ? {} : { leftOut: this.#leftOut }
    this.#leftOut = 0
    this.#log.warn(
      { path, reason, ...(detail === undefined ? {} : { detail }), ...leftOut },
      messages[reason],
    )
  }

  /** Forgets the notices of a repository that is served now, so that they are logged again if that ends. */
  served(path: string): void {
    if (this.#noticed.size === 0) return
    for (const reason of Object.keys(messages)) this.#noticed.delete(`${reason} ${path}`)
  }
}
