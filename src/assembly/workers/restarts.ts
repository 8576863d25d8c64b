import { systemClock, type Clock } from '../../limits/clock.js'

/** Longest pause in milliseconds before a worker is started again after its second end in a row, and after any. */
const baseMs = 200
const capMs = 30_000
/** Milliseconds after which a worker counts as healthy: its end is not one more in a row. */
const healthyMs = 60_000

/** How long to wait before a worker that has ended is started again: exponential back-off with jitter. */
export class Restarts {
  readonly #clock: Clock
  readonly #random: () => number
  #startedAt = 0
  #inRow = 0

  constructor(clock: Clock = systemClock, random: () => number = Math.random) {
    this.#clock = clock
    this.#random = random
  }

  /** Records that the worker was started. */
  started(): void {
    this.#startedAt = this.#clock.now()
  }

  /** Records that it has ended. @returns milliseconds to wait: none after the first end in a row */
  ended(): number {
    if (this.#clock.now() - this.#startedAt >= healthyMs) this.#inRow = 0
    const bound = this.#inRow === 0 ? 0 : Math.min(capMs, baseMs * 2 ** (this.#inRow - 1))
    this.#inRow++
    // Half of it at least: a worker that cannot start must not keep a core busy.
    return bound * (0.5 + this.#random() / 2)
  }
}
