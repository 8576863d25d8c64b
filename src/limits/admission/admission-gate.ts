import { admittedFactor } from '../queue/fair-queue.js'
import { systemClock, type Clock } from '../clock.js'
import { EventLoopLoad, type EventLoopLoadOptions } from './event-loop-load.js'
import { Overloaded } from '../overloaded.js'
import { TimedQueue, type AdmissionRequest, type TimedQueueOptions } from '../queue/timed-queue.js'
import { FairShares } from './shares.js'

export interface AdmissionGateOptions
  extends EventLoopLoadOptions, Omit<TimedQueueOptions, 'perGroup' | 'clock'> {
  /** Most newcomers who are inside or wait, and a third of those who may be so if they were let in before. */
  readonly max: number
  /** A client may have this many times what is left to others, see `Shares`; left out: all there is. */
  readonly clientFactor?: number
  readonly events?: GateEvents
  /** Calls at the end of this turn of the event loop. */
  readonly turnEnd?: (call: () => void) => void
}

export interface GateRequest extends AdmissionRequest {
  /** Whose share its place is taken from; left out: nobody's. */
  readonly client?: string
}

/** Who waits for an answer. */
export interface AbortableRequest {
  /** Calls back when it leaves. */
  onAbort(call: () => void): void
  /** @throws if it has left */
  throwIfAborted(): void
}

export interface GateEvents {
  /** Somebody who had to wait is let in. */
  waited?(waitedMs: number): void
  shed?(reason: Overloaded['reason']): void
}

/** While somebody waits: the newcomers that are seen for each one that is let in. */
const newcomersPerEntry = 3
/** How many are let in together: they share looks at the disk, and fills. */
const batch = 64
/** Places that a client may have whatever its share is: where there are few, it is no greedy client that takes them. */
const fewPlaces = 4
/** Longest time in milliseconds for which connections that come one after another are waited for. */
const arrivalMs = 20

/**
 * The place in which requests are answered: for so many and no more, and while the event loop is busy without a pause,
 * for one batch after another. Then newcomers wait at the door; repositories take turns, see `Line`. Places are shared
 * among clients, so that none has them all; those who were let in before take theirs from a part of their own.
 *
 * A loop that is asked for more than it can do must not do everything a little at a time: all answers would come too
 * late. Nor may it see only as many newcomers as it can answer: the others would wait in the kernel, until that drops
 * them without a word. To see one and send it away is cheap, and not free. So, while somebody waits, it sees at most
 * three times as many as it lets in. As soon as a turn of the loop brings no newcomer, it lets in a batch: the loop has
 * work as long as there is any.
 *
 * Nor must the first of many who come at once be answered while the others are still in the kernel: libuv accepts one
 * connection in each turn of the loop (uv__server_io), and a turn in which much is sent is long. So all wait, for a
 * moment, until a turn has brought no connection.
 *
 * Who is inside and waits for Git, or takes bytes slowly, holds up nobody: it gives the loop nothing to do.
 */
export class AdmissionGate {
  readonly #newcomerShares: FairShares
  readonly #admittedShares: FairShares
  readonly #events: GateEvents
  readonly #queue: TimedQueue
  readonly #load: EventLoopLoad
  readonly #turnEnd: (call: () => void) => void
  readonly #clock: Clock
  #connections = 0
  /** While connections are coming: resolves when they have come. */
  #arrival: Promise<void> | undefined
  /** Newcomers in this turn of the loop, and those of earlier turns since the last batch. */
  #arrivedThisTurn = 0
  #arrivedSinceBatch = 0

  constructor(options: AdmissionGateOptions) {
    const { max, clientFactor = Infinity, events = {} } = options
    this.#newcomerShares = new FairShares(max, clientFactor, fewPlaces)
    this.#admittedShares = new FairShares(max * (admittedFactor - 1), clientFactor, fewPlaces)
    this.#events = events
    this.#queue = new TimedQueue({ ...options, perGroup: Infinity })
    this.#load = new EventLoopLoad(options)
    this.#clock = options.clock ?? systemClock
    this.#turnEnd = options.turnEnd ?? ((call: () => void) => void setImmediate(call))
  }

  get admitted(): number {
    return this.#queue.running
  }

  /** How many wait at the door. */
  get waiting(): number {
    return this.#queue.waiting
  }

  /** A connection has come: soon there will be a request on it. */
  connectionAccepted(): void {
    this.#connections++
    this.#arrival ??= this.#arrivalsEnded().finally(() => (this.#arrival = undefined))
  }

  async #arrivalsEnded(): Promise<void> {
    const latest = this.#clock.now() + arrivalMs
    const turnEnd = (): Promise<void> => new Promise(this.#turnEnd)
    await turnEnd()
    let seen
    do {
      seen = this.#connections
      await turnEnd()
    } while (this.#connections > seen && this.#clock.now() < latest)
  }

  /**
   * Comes in when it may: at once if it need not wait. Its place is free at once when it leaves: what it waits for may be
   * long in coming.
   * @returns what to call on leaving; called again, it does nothing
   * @throws Overloaded, or that the visitor has left; or rejects with them
   */
  enter(request: GateRequest, caller: AbortableRequest): (() => void) | Promise<() => void> {
    if (this.#arrival) return this.#arrival.then(() => this.#enter(request, caller))
    return this.#enter(request, caller)
  }

  #enter(request: GateRequest, caller: AbortableRequest): (() => void) | Promise<() => void> {
    caller.throwIfAborted()
    this.#arrivedThisTurn++
    const { client, admitted = false } = request
    const places = admitted ? this.#admittedShares : this.#newcomerShares
    const none = places.take(client)
    if (none !== undefined) throw this.#shed(new Overloaded(none, 1))
    if (this.waiting > 0 || this.#load.busy) return this.#wait(request, places, caller)
    this.#queue.enter(request.group)
    return this.#admit(request, places, caller)
  }

  #shed(why: Overloaded): Overloaded {
    this.#events.shed?.(why.reason)
    return why
  }

  #wait(request: GateRequest, places: FairShares, caller: AbortableRequest): Promise<() => void> {
    const refusal = this.#queue.refusal(request)
    if (refusal) {
      places.give(request.client)
      throw this.#shed(refusal)
    }
    if (this.waiting === 0) {
      this.#arrivedThisTurn = 1
      this.#turnEnd(() => this.#endTurn())
    }
    return new Promise((enter, reject) => {
      const granted = (waitedMs: number): void => {
        this.#events.waited?.(waitedMs)
        enter(this.#admit(request, places, caller))
      }
      const late = (why: Overloaded): void => {
        places.give(request.client)
        reject(this.#shed(why))
      }
      const giveUp = this.#queue.enqueue(request, granted, late)
      caller.onAbort(() => {
        if (!giveUp()) return
        places.give(request.client)
        reject(new Error('the visitor has left'))
      })
    })
  }

  #endTurn(): void {
    this.#arrivedSinceBatch += this.#arrivedThisTurn
    if (this.#arrivedThisTurn === 0 || this.#arrivedSinceBatch >= batch * newcomersPerEntry) {
      this.#arrivedSinceBatch = 0
      for (let entry = 0; entry < batch; entry++) this.#queue.advance()
    }
    this.#arrivedThisTurn = 0
    if (this.waiting > 0) this.#turnEnd(() => this.#endTurn())
  }

  #admit({ group, client }: GateRequest, places: FairShares, caller: AbortableRequest): () => void {
    let inside = true
    const leave = (): void => {
      if (!inside) return
      inside = false
      this.#queue.exit(group)
      places.give(client)
    }
    caller.onAbort(leave)
    return leave
  }
}
