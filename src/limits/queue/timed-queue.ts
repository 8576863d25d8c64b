import { systemClock, type Clock } from '../clock.js'
import { admittedFactor, FairQueue, type Waiter } from './fair-queue.js'
import { Overloaded } from '../overloaded.js'

export interface TimedQueueOptions {
  /** Most of one group that run at once. */
  readonly perGroup: number
  /** Most who wait, not counting the admitted, for whom there are four times as many places. */
  readonly queueMax: number
  /** Longest wait in milliseconds; four times as long for the admitted. */
  readonly waitMs: number
  readonly clock?: Clock | undefined
  /** At least 0 and less than 1. */
  readonly random?: (() => number) | undefined
}

/** Somebody who may have to wait. */
export interface AdmissionRequest {
  /** Those of one group share its limit and take turns with other groups. */
  readonly group: string
  /** Its client was let in a moment ago, by an earlier request: it is queued where others are shed. */
  readonly admitted?: boolean
}

export interface QueueRequest extends AdmissionRequest {
  /** Leaves the queue when it aborts. */
  readonly signal?: AbortSignal | undefined
}

interface Waiting extends Waiter {
  readonly since: number
  /** Its turn has come. */
  readonly granted: (waitedMs: number) => void
  /** Its time is up. */
  readonly late: (why: Overloaded) => void
}

/**
 * A line in which one waits for one's turn. Who waits is in the line until the first of three: its turn, the end of its
 * time, or its own leaving; each takes it out of the line at once, so the other two never happen. All who wait share
 * one timer, which runs only while there are any.
 */
export class TimedQueue extends FairQueue<Waiting> {
  readonly #waitMs: number
  readonly #clock: Clock
  readonly #random: () => number
  /** Those who wait, in the order in which their time is up. */
  readonly #newcomers = new Set<Waiting>()
  readonly #admitted = new Set<Waiting>()
  #stopTimer: (() => void) | undefined

  constructor({ perGroup, queueMax, waitMs, clock, random }: TimedQueueOptions) {
    super(perGroup, queueMax)
    this.#waitMs = waitMs
    this.#clock = clock ?? systemClock
    this.#random = random ?? Math.random
  }

  /** What such a request would be told now, for there is no place for it to wait. */
  refusal({ group, admitted = false }: AdmissionRequest): Overloaded | undefined {
    return this.hasRoom({ group, admitted }) ? undefined : this.#overloaded('queue-full')
  }

  /**
   * Takes a place, which there must be: see refusal().
   * @param granted called when its turn has come, which `advance` gives; who has had it counts as running
   * @param late called when its time is up
   * @returns what gives the place up; it says whether there was still one to give up
   */
  enqueue(
    { group, admitted = false }: AdmissionRequest,
    granted: Waiting['granted'],
    late: Waiting['late'],
  ): () => boolean {
    const waiting: Waiting = { group, admitted, since: this.#clock.now(), granted, late }
    const line = this.#lineOf(waiting)
    line.add(waiting)
    this.join(waiting, waiting.since)
    this.#lookIn(this.#waitMs)
    return () => {
      const waits = line.has(waiting)
      if (waits) this.#withdraw(waiting)
      return waits
    }
  }

  /**
   * Waits for its turn as for a promise.
   * @param granted called in the moment at which its turn comes
   * @returns what `granted` does
   * @throws Overloaded if there is no place, or its turn does not come in time; the signal's reason if it aborts
   */
  async wait<T>(request: QueueRequest, granted: (waitedMs: number) => T): Promise<T> {
    const { signal } = request
    const refusal = this.refusal(request)
    if (refusal) throw refusal
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

  /** Gives the next one its turn, if somebody is ready for it. */
  advance(): void {
    const now = this.#clock.now()
    const next = this.next(now)
    if (!next) return
    this.#forget(next)
    next.granted(now - next.since)
  }

  #patienceMs({ admitted }: Waiting): number {
    return admitted ? this.#waitMs * admittedFactor : this.#waitMs
  }

  #lookIn(ms: number): void {
    this.#stopTimer ??= this.#clock.after(ms, () => this.#lookAtTime())
  }

  #lookAtTime(): void {
    this.#stopTimer = undefined
    const now = this.#clock.now()
    // Whoever comes meanwhile has at least as much time.
    let nextMs = this.#waitMs
    for (const line of [this.#newcomers, this.#admitted]) {
      for (const waiting of line) {
        const leftMs = waiting.since + this.#patienceMs(waiting) - now
        if (leftMs > 0) {
          nextMs = Math.min(nextMs, leftMs)
          break
        }
        const why = this.#overloaded('wait')
        this.#withdraw(waiting)
        waiting.late(why)
      }
    }
    // A timer may go off a little before its time.
    if (this.waiting > 0) this.#lookIn(Math.max(1, nextMs))
  }

  #lineOf({ admitted }: Waiting): Set<Waiting> {
    return admitted ? this.#admitted : this.#newcomers
  }

  #withdraw(waiting: Waiting): void {
    this.leave(waiting)
    this.#forget(waiting)
  }

  #forget(waiting: Waiting): void {
    this.#lineOf(waiting).delete(waiting)
    if (this.waiting > 0) return
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  #overloaded(reason: Overloaded['reason']): Overloaded {
    return new Overloaded(reason, this.retryAfterSeconds(this.#clock.now(), this.#random()))
  }
}
