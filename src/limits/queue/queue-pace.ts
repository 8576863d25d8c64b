/** Weight of the latest interval in the moving mean. */
const gain = 1 / 16

/**
 * The pace at which a queue advances: an exponentially weighted moving average (EWMA) of the intervals between two waiters
 * that are served. Only time in which the queue is not empty is measured, so that quiet hours do not count. A queue that
 * has stopped is noticed too: the time since it last advanced is included as soon as it is longer than the average.
 */
export class QueuePace {
  #meanMs: number | undefined
  #since: number | undefined

  /** Records that the queue is no longer empty: the time until now does not count. Times are in milliseconds. */
  start(now: number): void {
    this.#since = now
  }

  /** Records that a waiter was served. */
  advance(now: number): void {
    this.#meanMs = this.#meanWith(this.#intervalUntil(now))
    this.#since = now
  }

  /**
   * Returns the value of Retry-After for a request that is shed while so many others wait: the time in which these will
   * be served, and at random up to twice that, so that requests that were shed together do not come back together.
   * @param random at least 0 and less than 1
   * @returns a whole number of seconds from 1 to 60
   */
  retryAfterSeconds(waiting: number, now: number, random: number): number {
    const interval = this.#intervalUntil(now)
    const meanMs = Math.max(this.#meanMs ?? 0, this.#meanWith(interval))
    const seconds = (meanMs * (waiting + 1)) / 1000
    return Math.round(Math.min(Math.max(seconds, 1), 30) * (1 + random))
  }

  #intervalUntil(now: number): number {
    return now - (this.#since ?? now)
  }

  #meanWith(interval: number): number {
    return this.#meanMs === undefined ? interval : this.#meanMs + gain * (interval - this.#meanMs)
  }
}
