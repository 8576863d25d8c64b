import { systemClock, type Clock } from '../clock.js'

export interface StallDetectorOptions {
  /** Milliseconds in which a client must take something of what is there for it; 0: as long as it likes. */
  readonly idleMs: number
  /** Bytes per second that it must take on average over a window; 0: as few as it likes. */
  readonly minRate: number
  /** Milliseconds over which the rate is measured. */
  readonly windowMs: number
  readonly clock?: Clock
}

/** Somebody who is sent bytes. */
export interface StallableClient {
  /** Bytes that it has taken so far. */
  taken(): number
  /** Is anything there for it that it has not taken? */
  owed(): boolean
}

interface Watched {
  readonly client: StallableClient
  readonly violated: (reason: 'idle' | 'slow') => void
  /** Was anything owed to it at the last tick? And what had it taken by then? */
  owed: boolean
  taken: number
  /** Ticks since it was seen to have taken something. */
  idleTicks: number
  /** Ticks since its window began, and what it had taken by then. */
  windowTicks: number
  windowStart: number
}

/** Ticks in an idle time or a window: how exactly both are kept. */
const ticks = 8

/**
 * Finds clients that hold a connection and take nothing, or too little.
 *
 * A client can only be blamed while something is there for it: whatever time the server itself takes does not count. All
 * clients share one timer, which runs only while there are any; at each tick each is asked for two numbers. Time is
 * counted in ticks and not read from a clock: if the program itself was held up (a suspended machine, a long garbage
 * collection), clients could not take anything either, and the late tick counts as one. So nobody is found too early, and
 * the idle at most two ticks late.
 *
 * Bytes count as taken when the kernel has taken them. A kernel that holds megabytes for a slow client takes the next
 * when a good part of those is gone, so an idle time of less than a minute or two hits clients that are merely slow.
 */
export class StallDetector {
  readonly #idleTicks: number
  readonly #windowTicks: number
  readonly #minTaken: number
  readonly #tickMs: number
  readonly #clock: Clock
  readonly #watched = new Set<Watched>()
  #stop: (() => void) | undefined

  constructor({ idleMs, minRate, windowMs, clock = systemClock }: StallDetectorOptions) {
    const spans = [...(idleMs > 0 ? [idleMs] : []), ...(minRate > 0 ? [windowMs] : [])]
    this.#tickMs = Math.min(...spans) / ticks
    this.#idleTicks = idleMs > 0 ? Math.ceil(idleMs / this.#tickMs) : Infinity
    this.#windowTicks = minRate > 0 ? Math.ceil(windowMs / this.#tickMs) : Infinity
    this.#minTaken = (minRate * windowMs) / 1000
    this.#clock = clock
  }

  get watching(): number {
    return this.#watched.size
  }

  /**
   * @param violated called once, when the client is found idle or slow; it is not watched any more then
   * @returns what ends the watch
   */
  watch(client: StallableClient, violated: Watched['violated']): () => void {
    const taken = client.taken()
    const watched = { client, violated, owed: false, taken, idleTicks: 0, windowTicks: 0, windowStart: taken }
    this.#watched.add(watched)
    this.#arm()
    return () => {
      this.#watched.delete(watched)
      this.#arm()
    }
  }

  #arm(): void {
    if (this.#watched.size > 0 && this.#tickMs < Infinity) {
      this.#stop ??= this.#clock.after(this.#tickMs, () => this.#tick())
    } else {
      this.#stop?.()
      this.#stop = undefined
    }
  }

  #tick(): void {
    this.#stop = undefined
    for (const watched of this.#watched) {
      const reason = this.#judge(watched)
      if (!reason) continue
      this.#watched.delete(watched)
      watched.violated(reason)
    }
    this.#arm()
  }

  #judge(watched: Watched): 'idle' | 'slow' | undefined {
    const taken = watched.client.taken()
    const owedBefore = watched.owed
    watched.owed = watched.client.owed()
    if (!watched.owed || !owedBefore) {
      watched.taken = watched.windowStart = taken
      watched.idleTicks = watched.windowTicks = 0
      return undefined
    }
    watched.idleTicks = taken > watched.taken ? 0 : watched.idleTicks + 1
    watched.taken = taken
    if (watched.idleTicks >= this.#idleTicks) return 'idle'
    if (++watched.windowTicks < this.#windowTicks) return undefined
    if (taken - watched.windowStart < this.#minTaken) return 'slow'
    watched.windowTicks = 0
    watched.windowStart = taken
    return undefined
  }
}
