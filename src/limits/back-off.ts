import { LRUCache } from 'lru-cache'
import { systemClock, type Clock } from './clock.js'

export interface BackOffOptions {
  /** Longest wait in milliseconds after the second failure in a row; it doubles with each that follows. */
  readonly baseMs: number
  /** Longest wait in milliseconds after any. */
  readonly capMs: number
  /** Most keys that are remembered; the least recently used are forgotten first. */
  readonly max: number
  readonly clock?: Clock
  /** At least 0 and less than 1. */
  readonly random?: () => number
}

/** What is answered instead of trying again. */
export interface Blocked {
  /** Of the last failure, as it was thrown. */
  readonly error: unknown
  /** Until the next try: more than 0. */
  readonly retryAfterMs: number
}

interface Failures {
  readonly state: string
  readonly count: number
  readonly error: unknown
  readonly until: number
}

/**
 * Keys that keep failing are tried at growing intervals (R7), and meanwhile everybody gets the last error at once.
 *
 * A first failure does not block: often it was of the moment (a pack that a repack took away), the next try mends it,
 * and a key whose tries are shared costs one process at a time anyway. From the second in a row on, the wait is chosen
 * by chance between nothing and a bound that doubles, so that keys that failed together (a full disk) are not tried
 * together.
 *
 * When the wait is over, everybody is let through, and not one alone: those who ask together share one try, as they
 * share any fill, and if that fails, they are blocked again together. A gate for one would have to know what became of
 * it, and would shut for good if it was never told.
 *
 * A key that was left alone for twice the longest wait starts anew, so failures far apart do not add up; so does one
 * that is forgotten for want of room. Both lead to a try too many and no wrong answer.
 */
export class BackOff {
  readonly #options: BackOffOptions
  readonly #clock: Clock
  readonly #failures: LRUCache<string, Failures>

  constructor(options: BackOffOptions) {
    const { max, capMs, clock = systemClock } = options
    this.#options = options
    this.#clock = clock
    this.#failures = new LRUCache({ max, ttl: 2 * capMs, ttlResolution: 0, perf: clock })
  }

  /** undefined: try. `state`: of what is tried; after a change of it, it may go well. */
  blocked(key: string, state = ''): Blocked | undefined {
    const failures = this.#of(key, state)
    const retryAfterMs = (failures?.until ?? 0) - this.#clock.now()
    return failures && retryAfterMs > 0 ? { error: failures.error, retryAfterMs } : undefined
  }

  /** A try has failed by itself; one that was shed or given up says nothing about its key. Call once for each try. */
  failed(key: string, error: unknown, state = ''): void {
    const { baseMs, capMs, random = Math.random } = this.#options
    const count = (this.#of(key, state)?.count ?? 0) + 1
    const bound = count === 1 ? 0 : Math.min(capMs, baseMs * 2 ** (count - 2))
    this.#failures.set(key, { state, count, error, until: this.#clock.now() + random() * bound })
  }

  /** Failures of a state that has passed count for nothing. */
  #of(key: string, state: string): Failures | undefined {
    const failures = this.#failures.get(key)
    return failures?.state === state ? failures : undefined
  }

  succeeded(key: string): void {
    this.#failures.delete(key)
  }
}
