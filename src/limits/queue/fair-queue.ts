import { LingeringMap } from '../lingering-map.js'
import { Line, type Place } from './line.js'
import { QueuePace } from './queue-pace.js'

/** A request that waits in a queue. */
export interface Waiter {
  readonly group: string
  /** Was its client admitted a moment ago? Such waiters have a larger part of the queue, apart from the others'. */
  readonly admitted: boolean
}

/** A group that runs or waits, or did so a short time ago. */
interface Group<W> {
  running: number
  /** In the order of their arrival. */
  readonly waiters: Line<W>
  /** How many of them are admitted. */
  admitted: number
  /** Its place in the ring. */
  place: Place<Group<W>> | undefined
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
  /** By name, the groups that run or wait: memory is bounded by what the limits allow. */
  readonly #groups = new LingeringMap<string, Group<W>>(isIdle)
  /** The groups that wait and are below their limit; the first is served next. */
  readonly #ring = new Line<Group<W>>()
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
    const own = admitted ? admittedOwn : (group?.waiters.size ?? 0) - admittedOwn
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
  enqueue(waiter: W, now: number): Place<W> {
    if (this.#waiting === 0) this.#pace.start(now)
    const group = this.#group(waiter.group)
    const place = group.waiters.enter(waiter)
    this.#waiting++
    if (waiter.admitted) {
      group.admitted++
      this.#admitted++
    }
    this.#place(group)
    return place
  }

  /** Removes a waiter that is not served. @param place as `enqueue` has returned it */
  remove(place: Place<W>): void {
    this.#remove(this.#group(place.value.group), place)
  }

  /** Removes the next eligible waiter and counts it as running; undefined if there is none. */
  dequeue(now: number): W | undefined {
    const group = this.#ring.first?.value
    const next = group?.waiters.first
    if (!group || !next) return undefined
    this.#pace.advance(now)
    group.running++
    this.#running++
    this.#leaveRing(group)
    this.#remove(group, next)
    return next.value
  }

  /** @see QueuePace.retryAfterSeconds */
  retryAfterSeconds(now: number, random: number): number {
    return this.#pace.retryAfterSeconds(this.#waiting, now, random)
  }

  #group(name: string): Group<W> {
    let group = this.#groups.get(name)
    if (!group) {
      group = { running: 0, waiters: new Line(), admitted: 0, place: undefined }
      this.#groups.set(name, group)
    }
    return group
  }

  #remove(group: Group<W>, place: Place<W>): void {
    group.waiters.leave(place)
    this.#waiting--
    if (place.value.admitted) {
      group.admitted--
      this.#admitted--
    }
    this.#place(group)
  }

  /** Adds a group to the ring, leaves it there, or takes it out, according to its present state. */
  #place(group: Group<W>): void {
    if (group.waiters.size === 0 || group.running >= this.#perGroup) this.#leaveRing(group)
    else group.place ??= this.#ring.enter(group)
  }

  #leaveRing(group: Group<W>): void {
    if (group.place) this.#ring.leave(group.place)
    group.place = undefined
  }
}

const isIdle = ({ running, waiters }: Group<Waiter>): boolean => running === 0 && waiters.size === 0
