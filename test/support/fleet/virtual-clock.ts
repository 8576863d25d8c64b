import type { Clock } from '../../../src/limits/clock.js'

interface Timer {
  readonly at: number
  readonly call: () => void
}

/** A clock whose time passes as soon as nothing is left to do but to wait. */
export class VirtualClock implements Clock {
  #now = 1000
  #timers: Timer[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call }
    // Timers for the same time fire in the order in which they were set.
    const index = this.#timers.findIndex(({ at }) => at > timer.at)
    this.#timers.splice(index < 0 ? this.#timers.length : index, 0, timer)
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer))
  }

  /** Timers that have neither fired nor been cancelled. */
  get timers(): number {
    return this.#timers.length
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve))
  }

  /** Lets time pass until a promise has settled. @throws if it never will: no timer is left, or an hour has passed */
  async until<T>(promise: Promise<T>): Promise<T> {
    const state = { settled: false }
    const settle = (): void => void (state.settled = true)
    promise.then(settle, settle)
    const deadline = this.#now + 3_600_000
    for (;;) {
      await idle()
      if (state.settled) return promise
      const next = this.#timers.shift()
      if (!next) throw new Error('nothing is left to wait for')
      if (next.at > deadline) throw new Error('an hour has passed')
      this.#now = Math.max(this.#now, next.at)
      next.call()
    }
  }

  /** Lets that many milliseconds pass. */
  pass(ms: number): Promise<void> {
    return this.until(this.wait(ms))
  }
}

/** Lets all run that does not wait for time to pass. */
export async function idle(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
}
