import { systemClock, type Clock } from '../clock.js'

export interface StallDetectorOptions {
  /** Milliseconds in which a client must take some of the bytes that are owed to it; 0: no limit. */
  readonly idleMs: number
  /** Bytes per second that it must take on average over a window; 0: no limit. */
  readonly minRate: number
  /** Milliseconds over which the rate is measured. */
  readonly windowMs: number
  readonly clock?: Clock
}

/** A client that bytes are sent to. */
export interface StallableClient {
  /** Bytes that it has taken so far. */
  taken(): number
  /** Are there bytes for it that it has not taken? */
  owed(): boolean
}

interface Watched {
  readonly client: StallableClient
  readonly violated: (reason: 'idle' | 'slow') => void
  /** Were bytes owed to it at the last tick? And how many had it taken by then? */
  owed: boolean
  taken: number
  /** Ticks since it last took bytes. */
  idleTicks: number
  /** Ticks since its window began, and the bytes that it had taken by then. */
  windowTicks: number
  windowStart: number
}

/** Ticks in an idle time or a window: the precision of both. */
const ticks = 8

/**
 * Detects clients that hold a connection and take no bytes, or too few.
 *
 * A client counts as stalled only while bytes are owed to it: time that the server itself takes does not count. All
 * clients share one timer, which runs only while there are any; each tick reads two numbers of each client. Time is
 * counted in ticks and not read from a clock: if this process itself was suspended (a sleeping machine, a long garbage
 * collection), clients could not take bytes either, and the late tick counts as one. So no client is detected too early,
 * and an idle one at most two ticks late.
 *
 * Bytes count as taken when the kernel has taken them. A kernel that buffers megabytes for a slow client takes more only
 * when a good part of these is gone, so an idle time of less than a minute or two affects clients that are merely slow.
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

  /**
   * Watches a client.
   * @param violated called once, when the client is idle or slow; it is no longer watched then
   * @returns stops watching it
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
      const reason = this.#violation(watched)
      if (!reason) continue
      this.#watched.delete(watched)
      watched.violated(reason)
    }
    this.#arm()
  }

  /** Updates what is known of a client. @returns the limit that it violates, if any */
  #violation(watched: Watched): 'idle' | 'slow' | undefined {
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
