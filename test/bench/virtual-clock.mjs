/** A clock that goes from one timer to the next without waiting, as limits/clock.ts describes clocks. */
export class VirtualClock {
  #now = 0
  #timers = new Set()

  now() {
    return this.#now
  }

  after(ms, call) {
    const timer = { at: this.#now + ms, call }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Goes on to a time. After each timer on the way, waits for what it has begun (`settled`). */
  async goTo(time, settled) {
    for (let next = this.#next(); next && next.at <= time; next = this.#next()) {
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.call()
      await settled()
    }
    this.#now = time
  }

  /** Goes on to a time before which no timer is due. */
  skipTo(time) {
    this.#now = time
  }

  /** Is a timer due by then? */
  isDue(time) {
    for (const { at } of this.#timers) if (at <= time) return true
    return false
  }

  #next() {
    let first
    for (const timer of this.#timers) if (!first || timer.at < first.at) first = timer
    return first
  }
}
