import { QueuePace } from './queue-pace.js'

/** A request that waits in a queue. */
export interface Waiter {
  readonly group: string
  /** Was its client admitted a moment ago? Such waiters have a larger part of the queue, apart from the others'. */
  readonly admitted: boolean
}

/** A group that runs or waits; one that does neither is forgotten. */
interface Group<W> {
  readonly name: string
  running: number
  /** In the order of their arrival; made for the first one. */
  waiters: Set<W> | undefined
  /** How many of them are admitted. */
  admitted: number
}

/** How many times more places admitted waiters have, and how many times longer they wait. */
export const admittedFactor = 4

/**
 * A queue that serves groups round robin, with a concurrency limit per group.
 *
 * The ring holds the groups that wait and are below their own limit; within a group, waiters are served in the order of
 * their arrival. A group that was served, or that comes below its limit again, goes to the end of the ring. So while a
 * group is in the ring, no other is served twice before it is served once. Groups at their limit are not in the ring, so
 * that they need not be skipped.
 *
 * Places to wait are bounded too, and a group may take one only if more are left than it has already. So however many
 * requests of one group arrive, half of the places stay for others; n greedy groups leave one part in n + 1; and the last
 * place is only ever taken by the first waiter of a group.
 */
export class FairQueue<W extends Waiter> {
  readonly #perGroup: number
  readonly #queueMax: number
  /** The groups that run or wait: memory is bounded by what the limits allow. */
  readonly #groups = new Map<string, Group<W>>()
  /** The groups that wait and are below their limit; the first is served next. */
  readonly #ring = new Set<Group<W>>()
  readonly #pace = new QueuePace()
  #running = 0
  #waiting = 0
  #admitted = 0

  /**
   * @param perGroup most requests of one group that run at once
   * @param queueMax most waiters that are not admitted; four times as many may be admitted ones
   */
  constructor(perGroup: number, queueMax: number) {
    this.#perGroup = perGroup
    this.#queueMax = queueMax
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting
  }

  /** Is there a waiter whose group is below its limit? */
  get hasEligible(): boolean {
    return this.#ring.size > 0
  }

  /** Is a group below its limit? */
  isBelowLimit(name: string): boolean {
    return (this.#groups.get(name)?.running ?? 0) < this.#perGroup
  }

  /** Is there a place for this waiter? */
  hasPlace({ group: name, admitted }: Waiter): boolean {
    const group = this.#groups.get(name)
    const admittedOwn = group?.admitted ?? 0
    const own = admitted ? admittedOwn : (group?.waiters?.size ?? 0) - admittedOwn
    const all = admitted ? this.#admitted : this.#waiting - this.#admitted
    const places = admitted ? this.#queueMax * admittedFactor : this.#queueMax
    return own < places - all
  }

  /** Counts a request of a group as running, without a wait. */
  start(name: string): void {
    this.#group(name).running++
    this.#running++
  }

  /** Counts a request of a group as ended. */
  finish(name: string): void {
    const group = this.#group(name)
    group.running--
    this.#running--
    this.#place(group)
  }

  /** Adds a waiter, for which there must be a place, unless it needs none. */
  enqueue(waiter: W, now: number): void {
    if (this.#waiting === 0) this.#pace.start(now)
    const group = this.#group(waiter.group)
    ;(group.waiters ??= new Set()).add(waiter)
    this.#waiting++
    if (waiter.admitted) {
      group.admitted++
      this.#admitted++
    }
    this.#place(group)
  }

  /** Removes a waiter that is not served. */
  remove(waiter: W): void {
    this.#remove(this.#group(waiter.group), waiter)
  }

  /** Removes the next eligible waiter and counts it as running; undefined if there is none. */
  dequeue(now: number): W | undefined {
    for (const group of this.#ring) {
      for (const waiter of group.waiters ?? []) {
        this.#pace.advance(now)
        group.running++
        this.#running++
        this.#ring.delete(group)
        this.#remove(group, waiter)
        return waiter
      }
    }
    return undefined
  }

  /** @see QueuePace.retryAfterSeconds */
  retryAfterSeconds(now: number, random: number): number {
    return this.#pace.retryAfterSeconds(this.#waiting, now, random)
  }

  #group(name: string): Group<W> {
    let group = this.#groups.get(name)
    if (!group) {
      group = { name, running: 0, waiters: undefined, admitted: 0 }
      this.#groups.set(name, group)
    }
    return group
  }

  #remove(group: Group<W>, waiter: W): void {
    group.waiters?.delete(waiter)
    this.#waiting--
    if (waiter.admitted) {
      group.admitted--
      this.#admitted--
    }
    this.#place(group)
  }

  /** Adds a group to the ring, leaves it there, takes it out, or forgets it, according to its present state. */
  #place(group: Group<W>): void {
    const waits = group.waiters !== undefined && group.waiters.size > 0
    if (waits && group.running < this.#perGroup) this.#ring.add(group)
    else this.#ring.delete(group)
    if (!waits && group.running === 0) this.#groups.delete(group.name)
  }
}
