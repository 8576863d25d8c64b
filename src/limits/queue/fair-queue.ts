import { QueuePace } from './queue-pace.js'

/** Somebody who waits in a line. */
export interface Waiter {
  readonly group: string
  /** Has a larger part of the line, apart from the others'. */
  readonly admitted: boolean
}

/** A group that runs or waits; one that does neither is forgotten. */
interface Group<W> {
  readonly name: string
  running: number
  /** In the order in which they came. */
  readonly waiters: Set<W>
  /** How many of them are admitted. */
  admitted: number
}

/** How much longer the line is for the admitted, and how much longer they wait. */
export const admittedFactor = 4

/**
 * Those of one class: who runs, who waits, and whose turn it is.
 *
 * Turns go round the groups that wait and are below their own limit (the ring); within a group, who came first is first.
 * A group that has had its turn, or that comes below its limit again, goes to the end of the ring. So while a group is
 * in the ring, no other has two turns before it has one. Groups at their limit are not in the ring: nobody has to pass
 * over them.
 *
 * Places to wait are bounded too, and a group may take one only if more are left than it has already. So however many
 * of one group come, half of the places stay for others, n greedy groups leave one part in n + 1, and nobody but the
 * first of a group ever takes the last place.
 */
export class FairQueue<W extends Waiter> {
  readonly #perGroup: number
  readonly #queueMax: number
  /** Those that run or wait: memory is bounded by what the limits allow. */
  readonly #groups = new Map<string, Group<W>>()
  /** Those that wait and are below their limit; the first one's turn is next. */
  readonly #ring = new Set<Group<W>>()
  readonly #pace = new QueuePace()
  #running = 0
  #waiting = 0
  #admitted = 0

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

  /** Does somebody wait whom his group's limit does not hold up? */
  get hasEligible(): boolean {
    return this.#ring.size > 0
  }

  /** Is a group below its limit? If so, and if a slot is free, none of it waits. */
  isBelowLimit(name: string): boolean {
    return (this.#groups.get(name)?.running ?? 0) < this.#perGroup
  }

  hasRoom({ group: name, admitted }: Waiter): boolean {
    const group = this.#groups.get(name)
    const admittedOwn = group?.admitted ?? 0
    const own = admitted ? admittedOwn : (group?.waiters.size ?? 0) - admittedOwn
    const all = admitted ? this.#admitted : this.#waiting - this.#admitted
    const places = admitted ? this.#queueMax * admittedFactor : this.#queueMax
    return own < places - all
  }

  /** Starts to run without waiting. */
  enter(name: string): void {
    this.#group(name).running++
    this.#running++
  }

  /** Ends to run. */
  exit(name: string): void {
    const group = this.#group(name)
    group.running--
    this.#running--
    this.#place(group)
  }

  join(waiter: W, now: number): void {
    if (this.#waiting === 0) this.#pace.start(now)
    const group = this.#group(waiter.group)
    group.waiters.add(waiter)
    this.#waiting++
    if (waiter.admitted) {
      group.admitted++
      this.#admitted++
    }
    this.#place(group)
  }

  /** Goes away before its turn. */
  leave(waiter: W): void {
    this.#remove(this.#group(waiter.group), waiter)
  }

  /** Lets run whose turn it is. */
  next(now: number): W | undefined {
    for (const group of this.#ring) {
      for (const waiter of group.waiters) {
        this.#pace.turn(now)
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
      group = { name, running: 0, waiters: new Set(), admitted: 0 }
      this.#groups.set(name, group)
    }
    return group
  }

  #remove(group: Group<W>, waiter: W): void {
    group.waiters.delete(waiter)
    this.#waiting--
    if (waiter.admitted) {
      group.admitted--
      this.#admitted--
    }
    this.#place(group)
  }

  /** Puts a group into the ring, leaves it there, takes it out, or forgets it, as it is now. */
  #place(group: Group<W>): void {
    if (group.waiters.size > 0 && group.running < this.#perGroup) this.#ring.add(group)
    else this.#ring.delete(group)
    if (group.waiters.size === 0 && group.running === 0) this.#groups.delete(group.name)
  }
}
