import { performance } from 'node:perf_hooks'
import { systemClock, type Clock } from '../clock.js'

export interface EventLoopLoadOptions {
  /** Milliseconds without a pause after which the loop counts as busy; Infinity: it never does. */
  readonly busyMs: number
  readonly clock?: Clock | undefined
  /** Milliseconds for which the loop has had nothing to do since the program began. */
  readonly idleMs?: (() => number) | undefined
}

/** Milliseconds between two looks. */
const lookMs = 100
/** The part of that time in which a busy loop may have had nothing to do. */
const pause = 0.02

const systemIdle = (): number => performance.eventLoopUtilization().idle

/**
 * Is more asked of the event loop than it can do? It is when it never comes to wait for something to happen.
 *
 * How late its timers are does not tell: libuv takes one new connection in each turn (uv__server_io), so turns stay short
 * however many come, and those who have come too early wait in the kernel.
 *
 * Nobody looks while nobody asks, so that an idle program is not woken up.
 */
export class EventLoopLoad {
  readonly #busyMs: number
  readonly #clock: Clock
  readonly #idleMs: () => number
  #asked = false
  #looking = false
  #idle = 0
  #at = 0
  /** Since when it has not paused. */
  #busySince: number | undefined

  constructor({ busyMs, clock = systemClock, idleMs = systemIdle }: EventLoopLoadOptions) {
    this.#busyMs = busyMs
    this.#clock = clock
    this.#idleMs = idleMs
  }

  /** Has it had no pause for a while, as of the last look? Whoever asks makes it go on looking. */
  get busy(): boolean {
    if (!this.#looking) {
      this.#looking = true
      this.#begin()
    }
    this.#asked = true
    return this.#busySince !== undefined && this.#at - this.#busySince >= this.#busyMs
  }

  #begin(): void {
    this.#asked = false
    this.#at = this.#clock.now()
    this.#idle = this.#idleMs()
    this.#clock.after(lookMs, () => this.#look())
  }

  #look(): void {
    const paused = this.#idleMs() - this.#idle > pause * (this.#clock.now() - this.#at)
    // Nobody has asked since the last look: there was nothing to do.
    this.#looking = this.#asked
    if (paused || !this.#asked) this.#busySince = undefined
    else this.#busySince ??= this.#at
    if (this.#looking) this.#begin()
  }
}
