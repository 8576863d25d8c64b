import { systemClock, type Clock } from './clock.js'
import { admittedFactor, Line, type Waiter } from './line.js'
import { Overloaded } from './overloaded.js'

export interface QueueOptions {
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

export interface QueueRequest {
  /** Those of one group share its limit and take turns with other groups. */
  readonly group: string
  /** Its client was let in a moment ago, by an earlier request: it is queued where others are shed. */
  readonly admitted?: boolean
  /** Leaves the queue when it aborts. */
  readonly signal?: AbortSignal | undefined
}

interface Waiting extends Waiter {
  granted(): void
}

/**
 * A line in which one waits for one's turn as for a promise. Who waits is in the line, with a timer and a listener on its
 * signal, until the first of three: its turn, its time, its signal; each takes it out of the line at once, so the other
 * two never happen.
 */
export class Queue extends Line<Waiting> {
  readonly #waitMs: number
  readonly #clock: Clock
  readonly #random: () => number

  constructor({ perGroup, queueMax, waitMs, clock, random }: QueueOptions) {
    super(perGroup, queueMax)
    this.#waitMs = waitMs
    this.#clock = clock ?? systemClock
    this.#random = random ?? Math.random
  }

  /** What such a request would be told now, for there is no place for it to wait. */
  refusal({ group, admitted = false }: QueueRequest): Overloaded | undefined {
    return this.hasPlace({ group, admitted }) ? undefined : this.#overloaded('queue-full')
  }

  /**
   * Waits for its turn, which `advance` gives; who has had it counts as running.
   * @param granted called in the moment at which its turn comes, with the milliseconds that it has waited
   * @returns what `granted` does
   * @throws Overloaded if there is no place, or its turn does not come in time; the signal's reason if it aborts
   */
  wait<T>(request: QueueRequest, granted: (waitedMs: number) => T): Promise<T> {
    const { group, admitted = false, signal } = request
    const refusal = this.refusal(request)
    if (refusal) return Promise.reject(refusal)
    const since = this.#clock.now()
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        stopTimer()
        signal?.removeEventListener('abort', abort)
      }
      const waiter: Waiting = {
        group,
        admitted,
        granted: () => {
          settle()
          resolve(granted(this.#clock.now() - since))
        },
      }
      const abort = (): void => {
        this.leave(waiter)
        settle()
        reject(signal?.reason)
      }
      const late = (): void => {
        const overloaded = this.#overloaded('wait')
        this.leave(waiter)
        settle()
        reject(overloaded)
      }
      const stopTimer = this.#clock.after(admitted ? this.#waitMs * admittedFactor : this.#waitMs, late)
      signal?.addEventListener('abort', abort, { once: true })
      this.join(waiter, since)
    })
  }

  /** Gives the next one its turn, if somebody is ready for it. */
  advance(): void {
    this.next(this.#clock.now())?.granted()
  }

  #overloaded(reason: Overloaded['reason']): Overloaded {
    return new Overloaded(reason, this.retryAfterSeconds(this.#clock.now(), this.#random()))
  }
}
