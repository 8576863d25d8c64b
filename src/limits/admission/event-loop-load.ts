import { performance } from 'node:perf_hooks'
import { systemClock, type Clock } from '../clock.js'

export interface EventLoopLoadOptions {
  /** Milliseconds without a pause after which the loop counts as saturated; Infinity: it never does. */
  readonly saturatedAfterMs: number
  readonly clock?: Clock | undefined
  /** Returns the milliseconds for which the loop has been idle since the process started. */
  readonly idleMs?: (() => number) | undefined
}

/** Milliseconds between two samples. */
const sampleMs = 100
/** The part of a sample for which a loop without a pause may have been idle. */
const pause = 0.02

const systemIdle = (): number => performance.eventLoopUtilization().idle

/**
 * Measures whether the event loop is saturated: whether it never becomes idle.
 *
 * The delay of timers would not tell: libuv accepts one new connection per iteration (uv__server_io), so iterations stay
 * short however many connections arrive, and those that cannot be accepted yet wait in the kernel.
 *
 * Samples are taken only while `saturated` is being read, so that an idle process is not woken up.
 */
export class EventLoopLoad {
  readonly #saturatedAfterMs: number
  readonly #clock: Clock
  readonly #idleMs: () => number
  /** Was `saturated` read since the last sample? */
  #read = false
  #sampling = false
  /** At the beginning of the current sample. */
  #idle = 0
  #at = 0
  /** Since when the loop has not paused. */
  #busySince: number | undefined

  constructor({ saturatedAfterMs, clock = systemClock, idleMs = systemIdle }: EventLoopLoadOptions) {
    this.#saturatedAfterMs = saturatedAfterMs
    this.#clock = clock
    this.#idleMs = idleMs
  }

  /** Had the loop not paused for `saturatedAfterMs`, as of the last sample? Reading this keeps the sampling going. */
  get saturated(): boolean {
    if (!this.#sampling) {
      this.#sampling = true
      this.#begin()
    }
    this.#read = true
    return this.#busySince !== undefined && this.#at - this.#busySince >= this.#saturatedAfterMs
  }

  #begin(): void {
    this.#read = false
    this.#at = this.#clock.now()
    this.#idle = this.#idleMs()
    this.#clock.after(sampleMs, () => this.#sample())
  }

  #sample(): void {
    const paused = this.#idleMs() - this.#idle > pause * (this.#clock.now() - this.#at)
    // Without a read since the last sample no request has arrived.
    this.#sampling = this.#read
    if (paused || !this.#read) this.#busySince = undefined
    else this.#busySince ??= this.#at
    if (this.#sampling) this.#begin()
  }
}
