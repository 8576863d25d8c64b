import { systemClock, type Clock } from './clock.js'

export interface CircuitBreakerOptions {
  /** Failures in a row that open the breaker. */
  readonly failures: number
  /** Longest wait in milliseconds after it has opened; doubles with each probe that fails. */
  readonly baseMs: number
  /** Longest wait in milliseconds, unless the other side asked for a longer one. */
  readonly capMs: number
  /** Longest wait in milliseconds that the other side may ask for. */
  readonly retryAfterMaxMs: number
  /** Milliseconds after which a probe without an outcome is given up. */
  readonly probeMs: number
  readonly clock?: Clock | undefined
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: (() => number) | undefined
  /** Called when the breaker opens, and when it closes. */
  readonly changed?: ((isOpen: boolean) => void) | undefined
}

/** What is answered instead of an attempt. */
export interface BreakerOpen {
  /** The last failure, as it was reported. */
  readonly error: unknown
  /** Milliseconds until another attempt is worthwhile: more than 0. */
  readonly retryAfterMs: number
}

/** An attempt that may be made. Its first report counts; all others have no effect. */
export interface Attempt {
  succeeded(): void
  /** @param retryAfterMs the wait in milliseconds that the other side asks for; it opens the breaker at once */
  failed(error: unknown, retryAfterMs?: number): void
  /** The attempt ended without telling anything about the other side. */
  abandoned(): void
}

/**
 * A circuit breaker for one host (R10). *Closed*, it lets all attempts through, and opens after a number of failures in a
 * row, or at once if the host asks for a wait (`Retry-After`). *Open*, it lets none through until the wait is over. Then
 * it is *half-open*: exactly one attempt, the probe, is let through; its success closes the breaker, and its failure
 * opens it for longer.
 *
 * A wait is random between a half and the whole of a bound that doubles with each failed probe, so that several processes
 * do not probe in step. A wait that the host asks for is never shortened, except to `retryAfterMaxMs`.
 *
 * A probe whose outcome is not reported within `probeMs` is given up: the next attempt is the probe then, and what the
 * earlier one reports does not count. Nor does the report of an attempt that began before the breaker opened, since it
 * tells about the past; only a wait that the host asks for counts even so.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions
  readonly #clock: Clock
  readonly #random: () => number
  /** Reports of attempts of an earlier generation do not count. */
  #generation = 0
  #failures = 0
  /** How many times it has opened since it was closed last. */
  #openings = 0
  #until = 0
  /** When the running probe is given up; undefined: none runs. */
  #probeUntil: number | undefined
  #error: unknown

  constructor(options: CircuitBreakerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? Math.random
  }

  /** Is it open or half-open? */
  get isOpen(): boolean {
    return this.#openings > 0
  }

  /** Tells whether no attempt may be made now; undefined: one may be, see begin(). */
  blocked(): BreakerOpen | undefined {
    if (!this.isOpen) return undefined
    const now = this.#clock.now()
    const waitMs = this.#until - now
    if (waitMs > 0) return { error: this.#error, retryAfterMs: waitMs }
    const isProbing = this.#probeUntil !== undefined && now < this.#probeUntil
    return isProbing ? { error: this.#error, retryAfterMs: this.#options.baseMs } : undefined
  }

  /** Begins an attempt. To be called only if blocked() returned undefined just before. */
  begin(): Attempt {
    if (this.isOpen) {
      this.#generation++
      this.#probeUntil = this.#clock.now() + this.#options.probeMs
    }
    const generation = this.#generation
    let reported = false
    /** Does the report count? */
    const report = (): boolean => {
      const isFirst = !reported
      reported = true
      return isFirst && generation === this.#generation
    }
    return {
      succeeded: () => {
        if (report()) this.#succeeded()
      },
      failed: (error, retryAfterMs) => {
        const isFirst = !reported
        if (report()) this.#failed(error, retryAfterMs)
        else if (isFirst && retryAfterMs !== undefined && this.isOpen) this.#extend(error, retryAfterMs)
      },
      abandoned: () => {
        if (report()) this.#probeUntil = undefined
      },
    }
  }

  #succeeded(): void {
    this.#failures = 0
    if (!this.isOpen) return
    this.#openings = 0
    this.#probeUntil = undefined
    this.#error = undefined
    this.#options.changed?.(false)
  }

  #failed(error: unknown, retryAfterMs: number | undefined): void {
    const opens = this.isOpen || retryAfterMs !== undefined || ++this.#failures >= this.#options.failures
    if (!opens) return
    const { baseMs, capMs, changed } = this.#options
    const wasOpen = this.isOpen
    const boundMs = Math.min(capMs, baseMs * 2 ** this.#openings++)
    this.#until = this.#clock.now() + boundMs * (0.5 + this.#random() / 2)
    this.#error = error
    this.#failures = 0
    this.#probeUntil = undefined
    this.#generation++
    if (retryAfterMs !== undefined) this.#extend(error, retryAfterMs)
    if (!wasOpen) changed?.(true)
  }

  #extend(error: unknown, retryAfterMs: number): void {
    const waitMs = Math.min(retryAfterMs, this.#options.retryAfterMaxMs) * (1 + this.#random() / 10)
    const until = this.#clock.now() + waitMs
    if (until <= this.#until) return
    this.#until = until
    this.#error = error
  }
}
