import type { Clock } from '../clock.js'
import { Overloaded } from '../overloaded.js'
import { TimedQueue, type TimedQueueOptions, type QueueRequest } from '../queue/timed-queue.js'

/** fill: cheap, and shared by all who ask; pass: pass-through, for one client, for as long as that client takes. */
export type ProcessClass = 'fill' | 'pass'

/** `perGroup`: most slots of this class that one group has at once. */
export type ClassLimits = Pick<TimedQueueOptions, 'perGroup' | 'queueMax' | 'waitMs'>

export interface ProcessLimiterOptions {
  /** Most slots that are out at once: at least 2, for each class has some that are its own. */
  readonly total: number
  readonly fill: ClassLimits
  readonly pass: ClassLimits
  readonly events?: ProcessLimiterEvents
  readonly clock?: Clock
  /** At least 0 and less than 1. */
  readonly random?: () => number
}

/** What an owner may want to count, and no more than count. Every `acquire` ends in exactly one of these. */
export interface ProcessLimiterEvents {
  granted?(slotClass: ProcessClass, waitedMs: number): void
  shed?(slotClass: ProcessClass, reason: Overloaded['reason']): void
  /** The caller's signal aborted first. */
  left?(slotClass: ProcessClass): void
}

/** Its group is a repository. */
export interface PermitRequest extends QueueRequest {
  readonly class: ProcessClass
}

/** Leave to run one process. Whoever gets one must release it. */
export interface Permit {
  /** Hands the slot on. May be called again, to no effect. */
  readonly release: () => void
}

/** The part of all slots that is kept for a class, used or not. */
const kept: Record<ProcessClass, number> = { fill: 1 / 4, pass: 1 / 2 }

/**
 * Hands out slots to run processes, and queues those for whom there is none.
 *
 * *Two classes.* A fill takes milliseconds and serves everybody who asks, so a free slot goes to a waiting fill first.
 * That alone would not do: pass-through runs for as long as its client takes, and a process that runs cannot be sent
 * away. So a quarter of the slots is kept free of pass-through, and fills never wait for a clone to end. The other way
 * round, endless fills could keep pass-through waiting forever; so half of the slots is kept free of fills. What is
 * left between the two is for whoever needs it. Neither class starves: its own slots can be taken by nobody else.
 *
 * *Groups* take turns; see `Line`. A hot one can neither use up all slots (its own limit), nor all turns (the ring), nor
 * all places in the queue.
 *
 * *No slot is lost, and none idles while somebody may have it.* A slot is counted before its promise resolves, and only
 * `release()` takes it back, once. How an acquire that waits ends, see `Queue`. Turns come whenever a slot may have become free: at a release, and when the total grows. Nobody who comes or
 * leaves makes anybody else eligible, for whoever is eligible while a slot is free has it already.
 *
 * *Memory* is bounded by the slots and the places in the two queues.
 */
export class ProcessLimiter {
  readonly #options: ProcessLimiterOptions
  readonly #queues: Record<ProcessClass, TimedQueue>
  #total: number

  /** @throws RangeError if the total is less than 2 */
  constructor(options: ProcessLimiterOptions) {
    const { fill, pass, clock, random, total } = options
    this.#options = options
    this.#queues = {
      fill: new TimedQueue({ ...fill, clock, random }),
      pass: new TimedQueue({ ...pass, clock, random }),
    }
    this.#total = checked(total)
  }

  get total(): number {
    return this.#total
  }

  /**
   * May be changed at any time. While more slots are out than a lesser total allows, each class can still have those that
   * are kept for it: clones that run on must not keep fills waiting. @throws RangeError
   */
  set total(total: number) {
    this.#total = checked(total)
    this.#handOut()
  }

  running(slotClass: ProcessClass): number {
    return this.#queues[slotClass].running
  }

  waiting(slotClass: ProcessClass): number {
    return this.#queues[slotClass].waiting
  }

  /** Does somebody wait who would run if the total were greater? */
  get scarce(): boolean {
    return this.#queues.fill.hasEligible || this.#queues.pass.hasEligible
  }

  /**
   * What such a request would be told now if it cannot even be queued. Where a request has others to follow that must
   * not be shed, ask for those before it is let in.
   */
  refusal(request: PermitRequest): Overloaded | undefined {
    const { class: slotClass, group } = request
    const line = this.#queues[slotClass]
    if (this.#isFree(slotClass) && line.isBelowLimit(group)) return undefined
    return line.refusal(request)
  }

  /**
   * A slot, when there is one.
   * @throws Overloaded if there is no place in the queue, or none comes free in time; the signal's reason if it aborts
   */
  async acquire(request: PermitRequest): Promise<Permit> {
    const { class: slotClass, group, signal } = request
    const { events } = this.#options
    if (signal?.aborted) {
      events?.left?.(slotClass)
      throw signal.reason
    }
    const line = this.#queues[slotClass]
    if (this.#isFree(slotClass) && line.isBelowLimit(group)) {
      line.enter(group)
      return this.#permit(slotClass, group, 0)
    }
    try {
      return await line.wait(request, (waitedMs) => this.#permit(slotClass, group, waitedMs))
    } catch (error) {
      if (error instanceof Overloaded) events?.shed?.(slotClass, error.reason)
      else events?.left?.(slotClass)
      throw error
    }
  }

  #permit(slotClass: ProcessClass, group: string, waitedMs: number): Permit {
    this.#options.events?.granted?.(slotClass, waitedMs)
    let released = false
    return {
      release: () => {
        if (released) return
        released = true
        this.#queues[slotClass].exit(group)
        this.#handOut()
      },
    }
  }

  #handOut(): void {
    for (;;) {
      const slotClass = (['fill', 'pass'] as const).find(
        (each) => this.#queues[each].hasEligible && this.#isFree(each),
      )
      if (!slotClass) return
      this.#queues[slotClass].advance()
    }
  }

  /** Is a slot free that this class may have? */
  #isFree(slotClass: ProcessClass): boolean {
    const { fill, pass } = this.#queues
    const { running } = this.#queues[slotClass]
    const other = slotClass === 'fill' ? 'pass' : 'fill'
    const all = fill.running + pass.running
    return running < this.#kept(slotClass) || (all < this.#total && running < this.#total - this.#kept(other))
  }

  #kept(slotClass: ProcessClass): number {
    return Math.max(1, Math.floor(this.#total * kept[slotClass]))
  }
}

function checked(total: number): number {
  if (!Number.isInteger(total) || total < 2)
    throw new RangeError(`${total} slots are too few for two classes`)
  return total
}
