/** Weight of the latest interval in the moving mean. */
const gain = 1 / 16

/**
 * The pace at which a queue moves: a moving mean of the time between two turns. Only time in which somebody waits is
 * measured, so quiet hours say nothing. A queue that has stopped shows, too: the time since the last turn is counted in
 * as soon as it is longer than the mean.
 */
export class QueuePace {
  #meanMs: number | undefined
  #since: number | undefined

  /** Somebody waits, and nobody did before: the time until now does not count. */
  start(now: number): void {
    this.#since = now
  }

  /** The turn of somebody who waited has come. */
  turn(now: number): void {
    this.#meanMs = this.#meanWith(this.#intervalUntil(now))
    this.#since = now
  }

  /**
   * When somebody who finds so many others waiting should come again: after the time in which those have their turns,
   * and up to as long again, by chance, so that those who are sent away together do not come back together.
   * @param random at least 0 and less than 1
   * @returns a whole number from 1 to 60
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
