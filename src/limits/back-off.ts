import { LRUCache } from 'lru-cache'
import { systemClock, type Clock } from './clock.js'
import { entriesAtMost } from './entries-at-most.js'

export interface BackOffOptions {
  /** Longest wait in milliseconds after the second failure in a row; it doubles with each further failure. */
  readonly baseMs: number
  /** Longest wait in milliseconds after any failure. */
  readonly capMs: number
  /** Most keys that are remembered (LRU). */
  readonly max: number
  readonly clock?: Clock
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: () => number
}

/** What is answered instead of another attempt. */
export interface Blocked {
  /** The error of the last failure, as it was thrown. */
  readonly error: unknown
  /** Milliseconds until the next attempt: more than 0. */
  readonly retryAfterMs: number
}

interface Failures {
  readonly state: string
  readonly count: number
  readonly error: unknown
  readonly until: number
}

/**
 * Exponential back-off with jitter, by key (R7): a key that keeps failing is tried at growing intervals, and meanwhile
 * every request for it gets the last error at once.
 *
 * A first failure does not block. Often it is transient (a repack has removed a pack), the next attempt succeeds, and a
 * key whose attempts are shared costs one process at a time anyway. From the second failure in a row on, the wait is
 * random between zero and a bound that doubles, so that keys that failed together (a full disk) are not tried together.
 *
 * When the wait is over, all requests are let through, not a single probe: requests that come together share one attempt
 * as they share any fill, and if it fails, they are blocked again together. A single probe would need its outcome to be
 * reported, and would block the key for good if it never was.
 *
 * A key that was not requested for twice the longest wait starts anew, so that failures far apart do not add up; so does
 * a key that was forgotten by the LRU. Both cost one attempt too many and never a wrong answer.
 */
export class BackOff {
  readonly #options: BackOffOptions
  readonly #clock: Clock
  readonly #failures: LRUCache<string, Failures>

  constructor(options: BackOffOptions) {
    const { max, capMs, clock = systemClock } = options
    this.#options = options
    this.#clock = clock
    this.#failures = new LRUCache({ ...entriesAtMost(max), ttl: 2 * capMs, ttlResolution: 0, perf: clock })
  }

  /**
   * Tells whether a key must not be tried now; undefined: it may be.
   * @param state the state of what is tried; failures in another state do not block
   */
  blocked(key: string, state = ''): Blocked | undefined {
    const failures = this.#of(key, state)
    const retryAfterMs = (failures?.until ?? 0) - this.#clock.now()
    return failures && retryAfterMs > 0 ? { error: failures.error, retryAfterMs } : undefined
  }

  /** Returns the failures in a row of a key in this state, and the milliseconds until the next attempt, 0: at once. */
  failuresOf(key: string, state = ''): { readonly count: number; readonly retryAfterMs: number } | undefined {
    const failures = this.#of(key, state)
    return (
      failures && {
        count: failures.count,
        retryAfterMs: Math.max(0, failures.until - this.#clock.now()),
      }
    )
  }

  /**
   * Records that an attempt has failed. Call it once per attempt, and not for one that was shed or aborted, which tells
   * nothing about its key.
   */
  failed(key: string, error: unknown, state = ''): void {
    const { baseMs, capMs, random = Math.random } = this.#options
    const count = (this.#of(key, state)?.count ?? 0) + 1
    const bound = count === 1 ? 0 : Math.min(capMs, baseMs * 2 ** (count - 2))
    this.#failures.set(key, { state, count, error, until: this.#clock.now() + random() * bound })
  }

  /**
   * Records a failure of another process, which says itself until when it blocks: it counts here, and blocks nothing.
   * @param count failures in a row, as that process knows them; left out: one more than are known here
   */
  failedElsewhere(key: string, error: unknown, state = '', count?: number): void {
    const known = this.#of(key, state)
    const counted = known?.count ?? 0
    const failures = { state, error, count: count === undefined ? counted + 1 : Math.max(count, counted) }
    this.#failures.set(key, { ...failures, until: known?.until ?? this.#clock.now() })
  }

  /** Are failures of a key known that were in another state? */
  hasFailedOtherwise(key: string, state: string): boolean {
    const failures = this.#failures.get(key)
    return failures !== undefined && failures.state !== state
  }

  /** Returns the failures of a key in this state; those in another state do not count. */
  #of(key: string, state: string): Failures | undefined {
    const failures = this.#failures.get(key)
    return failures?.state === state ? failures : undefined
  }

  /** Records that an attempt has succeeded. */
  succeeded(key: string): void {
    this.#failures.delete(key)
  }
}
