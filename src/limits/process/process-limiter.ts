import type { Clock } from '../clock.js'
import { Overloaded } from '../overloaded.js'
import { TimedQueue, type QueueRequest, type TimedQueueOptions } from '../queue/timed-queue.js'

/**
 * What processes are for, in the order in which a free permit is offered. `fill`: answers with refs, short, shared by all
 * requests that join; `pack`: answers with a pack, shared too, and as long as Git needs to make it; `pass`: pass-through,
 * for one client, for as long as that client takes.
 */
export const processClasses = ['fill', 'pack', 'pass'] as const
export type ProcessClass = (typeof processClasses)[number]

/** The limits of one class; `perGroup`: most permits of this class that one group has at once. */
export type ClassLimits = Pick<TimedQueueOptions, 'perGroup' | 'queueMax' | 'waitMs'>

/** The limits of packs; `most`: most permits at once, over all groups; 0: there are no packs, and none is reserved. */
export type PackLimits = Omit<ClassLimits, 'perGroup'> & { readonly most: number }

export interface ProcessLimiterOptions {
  /** Most permits at once: at least 3, since some are reserved for each class. */
  readonly limit: number
  readonly fill: ClassLimits
  readonly pack: PackLimits
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

/** Permission to run one process, or to use one connection. It must be released. */
export interface Permit {
  /** Returns the permit; has no effect when repeated. */
  readonly release: () => void
  /**
   * Counts the process as pass-through from now on, if that class may have one more; returns whether it counts so. For a
   * process that uses no CPU any more, because its client sets the pace or because it hangs.
   */
  readonly becomePass: () => boolean
}

/**
 * A concurrency limiter for processes, and for connections to an upstream's host, which need the same classes: grants
 * permits, and queues requests while there are none.
 *
 * *Three classes.* A fill takes milliseconds, and a pack uses up a core for a while; both serve every request that joins
 * them. So a free permit is offered to fills, then to packs, then to pass-through. That alone is not enough: a running
 * process cannot be preempted, so long ones would keep fills waiting; and endless fills would keep all others waiting. So
 * permits are reserved for each class, whether it uses them or not: a quarter of all for fills; a quarter for packs, but no
 * more than packs may have at most; for pass-through as many as make a half together with those of packs. Each class has at
 * least one. What is left over is for all classes.
 *
 * *The rule of reserves.* A class may have a permit if it holds fewer than its reserve, or if the sum over all classes of
 * max(held, reserved) is less than the limit. For two reasons this is sound:
 * - No class starves: one that is below its reserve gets a permit at once, whatever the others hold.
 * - No more permits are held than the limit allows. At first the sum is that of the reserves: three quarters of the limit or
 *   less (of three permits, all). A permit within the reserve leaves the sum as it is; any other raises it by one, and only
 *   while it is less than the limit; a release never raises it. So the sum never exceeds the limit, and it is at least the
 *   number of permits held.
 *
 * *Packs have a maximum of their own*, since each uses as much CPU as it can get: more of them than cores only take longer
 * together. One that waits for a slow client, or hangs, uses none: it is counted as pass-through from then on, within the
 * limits of that class (`Permit.becomePass`), so that it keeps no other pack waiting. Packs of admitted clients are never
 * shed: they are queued without a time limit, and even if there is no place, until the caller's signal aborts.
 * `rejection()` tells when there is no place, so that a caller can shed a client before it is admitted.
 *
 * *Groups* are served round robin, see `FairQueue`. A hot group can neither use up all permits (its own limit; for packs,
 * their maximum), nor be served before all others (the ring), nor take all places in the queue.
 *
 * *No permit is lost, and none is idle while a request is eligible for it.* A permit is counted before its promise
 * resolves, and only `release()` takes it back, once. For how a request that waits ends, see `TimedQueue`. Permits are
 * granted whenever one may have become free: at a release, and when the limit changes. A request that arrives or leaves
 * makes no other eligible: one that is eligible while a permit is free has it already.
 *
 * *Memory* is bounded by the permits and the places in the queues; packs that wait without a place, by the limit on requests
 * in progress (`AdmissionGate`).
 */
export class ProcessLimiter {
  readonly #options: ProcessLimiterOptions
  readonly #queues: Record<ProcessClass, TimedQueue>
  /** Most permits of each class, whatever the others hold. */
  readonly #most: Record<ProcessClass, number>
  #limit: number

  /** @throws RangeError if the limit is less than 3 */
  constructor(options: ProcessLimiterOptions) {
    const { fill, pack, pass, clock, random, limit } = options
    this.#options = options
    this.#queues = {
      fill: new TimedQueue({ ...fill, clock, random }),
      pack: new TimedQueue({ ...pack, perGroup: pack.most, keepAdmitted: true, clock, random }),
      pass: new TimedQueue({ ...pass, clock, random }),
    }
    this.#most = { fill: Infinity, pack: pack.most, pass: Infinity }
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

  /** Permits that are in use: those of a class, or all. */
  running(processClass?: ProcessClass): number {
    if (processClass) return this.#queues[processClass].running
    return processClasses.reduce((sum, each) => sum + this.#queues[each].running, 0)
  }

  /** Requests for permits of a class that wait. */
  waiting(processClass: ProcessClass): number {
    return this.#queues[processClass].waiting
  }

  /** Does a request wait that would get a permit if the limit were greater? Not a pack that waits for packs to end. */
  get scarce(): boolean {
    return processClasses.some((each) => {
      const { hasEligible, running } = this.#queues[each]
      return hasEligible && running < this.#most[each]
    })
  }

  /**
   * Returns the error with which such a request would be rejected now; undefined: it would be granted or queued. Before a
   * request is admitted that later requests depend on, check with this that those would not be shed. Admitted packs are
   * queued even so.
   */
  rejection(request: PermitRequest): Overloaded | undefined {
    const { class: processClass, group } = request
    const queue = this.#queues[processClass]
    if (this.#isFree(processClass) && queue.isBelowLimit(group)) return undefined
    return queue.rejection(request)
  }

  /**
   * Resolves with a permit as soon as there is one.
   * @throws Overloaded if the queue is full, or if no permit is free in time (never for an admitted pack); the signal's
   * reason if it aborts
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
    let countedAs = processClass
    return {
      release: () => {
        if (released) return
        released = true
        this.#queues[countedAs].finish(group)
        this.#grantFree()
      },
      becomePass: () => {
        if (released || countedAs === 'pass') return !released
        const { pass } = this.#queues
        if (!this.#isFree('pass') || !pass.isBelowLimit(group)) return false
        pass.start(group)
        this.#queues[countedAs].finish(group)
        countedAs = 'pass'
        this.#grantFree()
        return true
      },
    }
  }

  #grantFree(): void {
    for (;;) {
      const processClass = processClasses.find((each) => this.#queues[each].hasEligible && this.#isFree(each))
      if (!processClass) return
      this.#queues[processClass].grantNext()
    }
  }

  /** Is a permit free that this class may have? */
  #isFree(processClass: ProcessClass): boolean {
    const { running } = this.#queues[processClass]
    if (running >= this.#most[processClass]) return false
    if (running < this.#reserved(processClass)) return true
    const taken = processClasses.reduce(
      (sum, each) => sum + Math.max(this.#queues[each].running, this.#reserved(each)),
      0,
    )
    return taken < this.#limit
  }

  #reserved(processClass: ProcessClass): number {
    const quarter = Math.max(1, Math.floor(this.#limit / 4))
    if (processClass === 'fill') return quarter
    const packs = Math.min(quarter, this.#most.pack)
    return processClass === 'pack' ? packs : Math.max(1, Math.floor(this.#limit / 2) - packs)
  }
}

function checked(limit: number): number {
  if (!Number.isInteger(limit) || limit < processClasses.length)
    throw new RangeError(`${limit} permits are too few for ${processClasses.length} classes`)
  return limit
}
