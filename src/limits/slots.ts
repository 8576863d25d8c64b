import type { Clock } from './clock.js'
import { Overloaded } from './overloaded.js'
import { Queue, type QueueOptions, type QueueRequest } from './queue.js'

/** fill: cheap, and shared by all who ask; pass: pass-through, for one client, for as long as that client takes. */
export type SlotClass = 'fill' | 'pass'

/** `perGroup`: most slots of this class that one group has at once. */
export type ClassLimits = Pick<QueueOptions, 'perGroup' | 'queueMax' | 'waitMs'>

export interface SlotsOptions {
  /** Most slots that are out at once: at least 2, for each class has some that are its own. */
  readonly total: number
  readonly fill: ClassLimits
  readonly pass: ClassLimits
  readonly events?: SlotEvents
  readonly clock?: Clock
  /** At least 0 and less than 1. */
  readonly random?: () => number
}

/** What an owner may want to count, and no more than count. Every `acquire` ends in exactly one of these. */
export interface SlotEvents {
  granted?(slotClass: SlotClass, waitedMs: number): void
  shed?(slotClass: SlotClass, reason: Overloaded['reason']): void
  /** The caller's signal aborted first. */
  left?(slotClass: SlotClass): void
}

/** Its group is a repository. */
export interface SlotRequest extends QueueRequest {
  readonly class: SlotClass
}

/** Leave to run one process. Whoever gets one must release it. */
export interface Slot {
  /** Hands the slot on. May be called again, to no effect. */
  readonly release: () => void
}

/** The part of all slots that is kept for a class, used or not. */
const kept: Record<SlotClass, number> = { fill: 1 / 4, pass: 1 / 2 }

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
export class Slots {
  readonly #options: SlotsOptions
  readonly #lines: Record<SlotClass, Queue>
  #total: number

  /** @throws RangeError if the total is less than 2 */
  constructor(options: SlotsOptions) {
    const { fill, pass, clock, random, total } = options
    this.#options = options
    this.#lines = {
      fill: new Queue({ ...fill, clock, random }),
      pass: new Queue({ ...pass, clock, random }),
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

  running(slotClass: SlotClass): number {
    return this.#lines[slotClass].running
  }

  waiting(slotClass: SlotClass): number {
    return this.#lines[slotClass].waiting
  }

  /** Does somebody wait who would run if the total were greater? */
  get scarce(): boolean {
    return this.#lines.fill.isReady || this.#lines.pass.isReady
  }

  /**
   * What such a request would be told now if it cannot even be queued. Where a request has others to follow that must
   * not be shed, ask for those before it is let in.
   */
  refusal(request: SlotRequest): Overloaded | undefined {
    const { class: slotClass, group } = request
    const line = this.#lines[slotClass]
    if (this.#isFree(slotClass) && line.isOpen(group)) return undefined
    return line.refusal(request)
  }

  /**
   * A slot, when there is one.
   * @throws Overloaded if there is no place in the queue, or none comes free in time; the signal's reason if it aborts
   */
  async acquire(request: SlotRequest): Promise<Slot> {
    const { class: slotClass, group, signal } = request
    const { events } = this.#options
    if (signal?.aborted) {
      events?.left?.(slotClass)
      throw signal.reason
    }
    const line = this.#lines[slotClass]
    if (this.#isFree(slotClass) && line.isOpen(group)) {
      line.enter(group)
      return this.#slot(slotClass, group, 0)
    }
    try {
      return await line.wait(request, (waitedMs) => this.#slot(slotClass, group, waitedMs))
    } catch (error) {
      if (error instanceof Overloaded) events?.shed?.(slotClass, error.reason)
      else events?.left?.(slotClass)
      throw error
    }
  }

  #slot(slotClass: SlotClass, group: string, waitedMs: number): Slot {
    this.#options.events?.granted?.(slotClass, waitedMs)
    let released = false
    return {
      release: () => {
        if (released) return
        released = true
        this.#lines[slotClass].exit(group)
        this.#handOut()
      },
    }
  }

  #handOut(): void {
    for (;;) {
      const slotClass = (['fill', 'pass'] as const).find(
        (each) => this.#lines[each].isReady && this.#isFree(each),
      )
      if (!slotClass) return
      this.#lines[slotClass].advance()
    }
  }

  /** Is a slot free that this class may have? */
  #isFree(slotClass: SlotClass): boolean {
    const { fill, pass } = this.#lines
    const { running } = this.#lines[slotClass]
    const other = slotClass === 'fill' ? 'pass' : 'fill'
    const all = fill.running + pass.running
    return running < this.#kept(slotClass) || (all < this.#total && running < this.#total - this.#kept(other))
  }

  #kept(slotClass: SlotClass): number {
    return Math.max(1, Math.floor(this.#total * kept[slotClass]))
  }
}

function checked(total: number): number {
  if (!Number.isInteger(total) || total < 2)
    throw new RangeError(`${total} slots are too few for two classes`)
  return total
}
