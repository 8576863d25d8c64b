import type { Clock } from '../clock.js'
import { Overloaded } from '../overloaded.js'
import { TimedQueue, type QueueRequest, type TimedQueueOptions } from '../queue/timed-queue.js'

/** fill: short, and its result is shared; pass: pass-through, for one client, for as long as that client takes. */
export type ProcessClass = 'fill' | 'pass'

/** The limits of one class; `perGroup`: most permits of this class that one group has at once. */
export type ClassLimits = Pick<TimedQueueOptions, 'perGroup' | 'queueMax' | 'waitMs'>

export interface ProcessLimiterOptions {
  /** Most permits at once: at least 2, since some are reserved for each class. */
  readonly limit: number
  readonly fill: ClassLimits
  readonly pass: ClassLimits
  readonly events?: ProcessLimiterEvents
  readonly clock?: Clock
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: () => number
}

/** Events to be counted; listeners must do nothing else. Every `acquire` ends in exactly one of these. */
export interface ProcessLimiterEvents {
  granted?(processClass: ProcessClass, waitedMs: number): void
  shed?(processClass: ProcessClass, reason: Overloaded['reason']): void
  /** The caller's signal aborted first. */
  aborted?(processClass: ProcessClass): void
}

/** A request for a permit; its group is a repository. */
export interface PermitRequest extends QueueRequest {
  readonly class: ProcessClass
}

/** Permission to run one process. It must be released. */
export interface Permit {
  /** Returns the permit; has no effect when repeated. */
  readonly release: () => void
}

/** The part of all permits that is reserved for a class, whether the class uses it or not. */
const reserved: Record<ProcessClass, number> = { fill: 1 / 4, pass: 1 / 2 }

/**
 * A concurrency limiter for processes: grants permits, and queues requests while there are none.
 *
 * *Two classes.* A fill takes milliseconds and serves every request that joins it, so a free permit goes to a waiting fill
 * first. That alone is not enough: pass-through runs for as long as its client takes, and a running process cannot be
 * preempted. So a quarter of the permits is reserved for fills, and fills never wait for a clone to end. Conversely,
 * endless fills could keep pass-through waiting forever; so half of the permits is reserved for pass-through. The rest is
 * for both. Neither class starves, since the other can never take its reserved permits.
 *
 * *Groups* are served round robin, see `FairQueue`. A hot group can neither use up all permits (its own limit), nor be
 * served before all others (the ring), nor take all places in the queue.
 *
 * *No permit is lost, and none is idle while a request is eligible for it.* A permit is counted before its promise
 * resolves, and only `release()` takes it back, once. For how a request that waits ends, see `TimedQueue`. Permits are
 * granted whenever one may have become free: at a release, and when the limit grows. A request that arrives or leaves
 * makes no other eligible: one that is eligible while a permit is free has it already.
 *
 * *Memory* is bounded by the permits and the places in the two queues.
 */
export class ProcessLimiter {
  readonly #options: ProcessLimiterOptions
  readonly #queues: Record<ProcessClass, TimedQueue>
  #limit: number

  /** @throws RangeError if the limit is less than 2 */
  constructor(options: ProcessLimiterOptions) {
    const { fill, pass, clock, random, limit } = options
    this.#options = options
    this.#queues = {
      fill: new TimedQueue({ ...fill, clock, random }),
      pass: new TimedQueue({ ...pass, clock, random }),
    }
    this.#limit = checked(limit)
  }

  get limit(): number {
    return this.#limit
  }

  /**
   * May be changed at any time. While more permits are in use than a smaller limit allows, each class can still have its
   * reserved ones: clones that are still running must not keep fills waiting. @throws RangeError
   */
  set limit(limit: number) {
    this.#limit = checked(limit)
    this.#grantFree()
  }

  /** Permits of a class that are in use. */
  running(processClass: ProcessClass): number {
    return this.#queues[processClass].running
  }

  /** Requests for permits of a class that wait. */
  waiting(processClass: ProcessClass): number {
    return this.#queues[processClass].waiting
  }

  /** Does a request wait that would get a permit if the limit were greater? */
  get scarce(): boolean {
    return this.#queues.fill.hasEligible || this.#queues.pass.hasEligible
  }

  /**
   * Returns the error with which such a request would be rejected now; undefined: it would be granted or queued. Before a
   * request is admitted that later requests depend on, check with this that those would not be shed.
   */
  rejection(request: PermitRequest): Overloaded | undefined {
    const { class: processClass, group } = request
    const queue = this.#queues[processClass]
    if (this.#isFree(processClass) && queue.isBelowLimit(group)) return undefined
    return queue.rejection(request)
  }

  /**
   * Resolves with a permit as soon as there is one.
   * @throws Overloaded if the queue is full, or if no permit is free in time; the signal's reason if it aborts
   */
  async acquire(request: PermitRequest): Promise<Permit> {
    const { class: processClass, group, signal } = request
    const { events } = this.#options
    if (signal?.aborted) {
      events?.aborted?.(processClass)
      throw signal.reason
    }
    const queue = this.#queues[processClass]
    if (this.#isFree(processClass) && queue.isBelowLimit(group)) {
      queue.start(group)
      return this.#permit(processClass, group, 0)
    }
    try {
      return await queue.wait(request, (waitedMs) => this.#permit(processClass, group, waitedMs))
    } catch (error) {
      if (error instanceof Overloaded) events?.shed?.(processClass, error.reason)
      else events?.aborted?.(processClass)
      throw error
    }
  }

  #permit(processClass: ProcessClass, group: string, waitedMs: number): Permit {
    this.#options.events?.granted?.(processClass, waitedMs)
    let released = false
    return {
      release: () => {
        if (released) return
        released = true
        this.#queues[processClass].finish(group)
        this.#grantFree()
      },
    }
  }

  #grantFree(): void {
    for (;;) {
      const processClass = (['fill', 'pass'] as const).find(
        (each) => this.#queues[each].hasEligible && this.#isFree(each),
      )
      if (!processClass) return
      this.#queues[processClass].grantNext()
    }
  }

  /** Is a permit free that this class may have? */
  #isFree(processClass: ProcessClass): boolean {
    const { fill, pass } = this.#queues
    const { running } = this.#queues[processClass]
    const other = processClass === 'fill' ? 'pass' : 'fill'
    const all = fill.running + pass.running
    return (
      running < this.#reserved(processClass) ||
      (all < this.#limit && running < this.#limit - this.#reserved(other))
    )
  }

  #reserved(processClass: ProcessClass): number {
    return Math.max(1, Math.floor(this.#limit * reserved[processClass]))
  }
}

function checked(limit: number): number {
  if (!Number.isInteger(limit) || limit < 2)
    throw new RangeError(`${limit} permits are too few for two classes of processes`)
  return limit
}
