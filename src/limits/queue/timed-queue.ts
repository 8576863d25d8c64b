import { systemClock, type Clock } from '../clock.js'
import { Overloaded } from '../overloaded.js'
import { admittedFactor, FairQueue, type Waiter } from './fair-queue.js'
import { Line, type Place } from './line.js'

export interface TimedQueueOptions {
  /** Most requests of one group that run at once. */
  readonly perGroup: number
  /** Most waiters, not counting the admitted ones, for which there are four times as many places. */
  readonly queueMax: number
  /** Longest wait in milliseconds; four times as long for admitted waiters. */
  readonly waitMs: number
  /** Never reject admitted requests: they wait without a time limit, and even if there is no place for them. */
  readonly keepAdmitted?: boolean
  readonly clock?: Clock | undefined
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: (() => number) | undefined
}

/** A request that may have to wait. */
export interface AdmissionRequest {
  /** Requests of one group share its limit; groups are served round robin. */
  readonly group: string
  /** Was its client admitted a moment ago, by an earlier request? It is queued where others are shed. */
  readonly admitted?: boolean
}

export interface QueueRequest extends AdmissionRequest {
  /** Removes the request from the queue when it aborts. */
  readonly signal?: AbortSignal | undefined
}

interface TimedWaiter extends Waiter {
  readonly since: number
  /** Its places among its peers and in the queue. */
  amongPeers: Place<TimedWaiter> | undefined
  queued: Place<TimedWaiter> | undefined
  /** Called when it is served. */
  readonly granted: (waitedMs: number) => void
  /** Called when its time limit has passed. */
  readonly expired: (why: Overloaded) => void
}

/**
 * A FairQueue with a time limit. A request waits until the first of three events: it is served, its time limit passes, or
 * its caller gives up. Each removes it from the queue at once, so the other two never happen. All waiters share one timer,
 * which runs only while there are any that have a time limit.
 */
export class TimedQueue {
  readonly #queue: FairQueue<TimedWaiter>
  readonly #waitMs: number
  readonly #keepAdmitted: boolean
  readonly #clock: Clock
  readonly #random: () => number
  /** The waiters that are not admitted, and those that are; each in the order in which their time limits pass. */
  readonly #ordinary = new Line<TimedWaiter>()
  readonly #admitted = new Line<TimedWaiter>()
  #stopTimer: (() => void) | undefined

  constructor({ perGroup, queueMax, waitMs, keepAdmitted = false, clock, random }: TimedQueueOptions) {
    this.#queue = new FairQueue(perGroup, queueMax)
    this.#waitMs = waitMs
    this.#keepAdmitted = keepAdmitted
    this.#clock = clock ?? systemClock
    this.#random = random ?? Math.random
  }

  get running(): number {
    return this.#queue.running
  }

  get waiting(): number {
    return this.#queue.waiting
  }

  /** Is there a waiter whose group is below its limit? */
  get hasEligible(): boolean {
    return this.#queue.hasEligible
  }

  /** Is a group below its limit? If it is, and nothing else is short, no request of it waits. */
  isBelowLimit(group: string): boolean {
    return this.#queue.isBelowLimit(group)
  }

  /** Counts a request of a group as running, without a wait. */
  start(group: string): void {
    this.#queue.start(group)
  }

  /** Counts a request of a group as ended. */
  finish(group: string): void {
    this.#queue.finish(group)
  }

  /**
   * Returns the error with which such a request would be rejected now; undefined: there is a place to wait. Admitted
   * requests that are kept (`keepAdmitted`) need none: for them it only tells that the queue is long.
   */
  rejection({ group, admitted = false }: AdmissionRequest): Overloaded | undefined {
    return this.#queue.hasPlace({ group, admitted }) ? undefined : this.#overloaded('queue-full')
  }

  /**
   * Adds a request, for which there must be a place unless it needs none: see rejection().
   * @param granted called when grantNext() serves it; from then on it counts as running
   * @param expired called when its time limit has passed
   * @returns removes the request from the queue; tells whether it was still there
   */
  enqueue(
    { group, admitted = false }: AdmissionRequest,
    granted: TimedWaiter['granted'],
    expired: TimedWaiter['expired'],
  ): () => boolean {
    const places = { amongPeers: undefined, queued: undefined }
    const waiter: TimedWaiter = { group, admitted, since: this.#clock.now(), granted, expired, ...places }
    waiter.amongPeers = this.#peersOf(waiter).enter(waiter)
    waiter.queued = this.#queue.enqueue(waiter, waiter.since)
    if (this.#limitMs(waiter) < Infinity) this.#checkIn(this.#waitMs)
    return () => {
      const waits = waiter.amongPeers !== undefined
      if (waits) this.#withdraw(waiter)
      return waits
    }
  }

  /**
   * Adds a request and waits until it is served.
   * @param granted called at the moment at which it is served
   * @returns what `granted` returns
   * @throws Overloaded if there is no place, or its time limit passes; the signal's reason if it aborts
   */
  async wait<T>(request: QueueRequest, granted: (waitedMs: number) => T): Promise<T> {
    const { signal, admitted = false } = request
    const rejection = this.#keeps(admitted) ? undefined : this.rejection(request)
    if (rejection) throw rejection
    let abort: (() => void) | undefined
    try {
      return await new Promise<T>((resolve, reject) => {
        const leave = this.enqueue(request, (waitedMs) => resolve(granted(waitedMs)), reject)
        abort = () => {
          leave()
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', abort)
      })
    } finally {
      if (abort) signal?.removeEventListener('abort', abort)
    }
  }

  /** Serves the next eligible waiter, if there is one. */
  grantNext(): void {
    const now = this.#clock.now()
    const next = this.#queue.dequeue(now)
    if (!next) return
    this.#forget(next)
    next.granted(now - next.since)
  }

  #keeps(admitted: boolean): boolean {
    return admitted && this.#keepAdmitted
  }

  #limitMs({ admitted }: TimedWaiter): number {
    if (this.#keeps(admitted)) return Infinity
    return admitted ? this.#waitMs * admittedFactor : this.#waitMs
  }

  /** Does a request wait that has a time limit? */
  get #hasLimited(): boolean {
    return this.#ordinary.size > 0 || (this.#admitted.size > 0 && !this.#keepAdmitted)
  }

  #checkIn(ms: number): void {
    this.#stopTimer ??= this.#clock.after(ms, () => this.#checkLimits())
  }

  #checkLimits(): void {
    this.#stopTimer = undefined
    const now = this.#clock.now()
    // A request that arrives meanwhile has at least as much time.
    let nextMs = this.#waitMs
    for (const peers of [this.#ordinary, this.#admitted]) {
      for (let place = peers.first; place; place = peers.first) {
        const waiter = place.value
        const leftMs = waiter.since + this.#limitMs(waiter) - now
        if (leftMs > 0) {
          nextMs = Math.min(nextMs, leftMs)
          break
        }
        const why = this.#overloaded('wait')
        this.#withdraw(waiter)
        waiter.expired(why)
      }
    }
    // A timer may fire a little early.
    if (this.#hasLimited) this.#checkIn(Math.max(1, nextMs))
  }

  #peersOf({ admitted }: TimedWaiter): Line<TimedWaiter> {
    return admitted ? this.#admitted : this.#ordinary
  }

  #withdraw(waiter: TimedWaiter): void {
    if (waiter.queued) this.#queue.remove(waiter.queued)
    this.#forget(waiter)
  }

  #forget(waiter: TimedWaiter): void {
    if (waiter.amongPeers) this.#peersOf(waiter).leave(waiter.amongPeers)
    waiter.amongPeers = waiter.queued = undefined
    if (this.#hasLimited) return
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  #overloaded(reason: Overloaded['reason']): Overloaded {
    return new Overloaded(reason, this.#queue.retryAfterSeconds(this.#clock.now(), this.#random()))
  }
}
