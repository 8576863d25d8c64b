import type { Clock } from '../../src/limits/clock.js'

interface Timer {
  readonly at: number
  readonly call: () => void
}

/** A clock that the test advances. */
export class FakeClock implements Clock {
  /** Not 0, as on a machine that has been running for a while. */
  #now = 1000
  readonly #timers = new Set<Timer>()

  now(): number {
    return this.#now
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Timers that have neither fired nor been cancelled. */
  get timers(): number {
    return this.#timers.size
  }

  /** Lets time pass; timers fire in their order, each at its own time. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      // Timers for the same time fire in the order in which they were set: the sort is stable.
      const next = [...this.#timers].sort((a, b) => a.at - b.at)[0]
      if (!next || next.at > until) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.call()
    }
    this.#now = until
  }
}
