import { systemClock, type Clock } from '../clock.js'
import { Overloaded } from '../overloaded.js'
import { admittedFactor } from '../queue/fair-queue.js'
import { TimedQueue, type AdmissionRequest, type TimedQueueOptions } from '../queue/timed-queue.js'
import { EventLoopLoad, type EventLoopLoadOptions } from './event-loop-load.js'
import { FairShares } from './shares.js'

export interface AdmissionGateOptions
  extends EventLoopLoadOptions, Omit<TimedQueueOptions, 'perGroup' | 'clock'> {
  /**
   * Most requests of new clients that are being answered or wait; requests of clients that were admitted a moment ago
   * have three times as many places of their own.
   */
  readonly max: number
  /** A client's requests may be this many times what is left to others, see `FairShares`; left out: all there are. */
  readonly clientFactor?: number
  readonly events?: GateEvents
  /** Calls at the end of the current iteration of the event loop. */
  readonly iterationEnd?: (call: () => void) => void
}

export interface GateRequest extends AdmissionRequest {
  /** The client whose share it counts against; left out: it counts against no share. */
  readonly client?: string
}

/** A request whose client may disconnect. */
export interface AbortableRequest {
  /** Calls back when the request is aborted. */
  onAbort(call: () => void): void
  /** @throws if the request was aborted */
  throwIfAborted(): void
}

export interface GateEvents {
  /** A request that had to wait is admitted. */
  waited?(waitedMs: number): void
  shed?(reason: Overloaded['reason']): void
}

/** While requests wait: how many arrivals are accepted for each request that is admitted. */
const arrivalsPerAdmission = 3
/** Requests that are admitted together: they share observations and fills. */
const batch = 64
/** Places guaranteed to each client, however small its share is. */
const fewPlaces = 4
/** Longest time in milliseconds for which requests wait for the connections that arrive one after another. */
const arrivalMs = 20

/**
 * Admission control for requests. It bounds how many are being answered or wait, and while the event loop is saturated,
 * it queues new requests and admits them in batches, repositories round robin (see `FairQueue`). Places are shared among
 * clients, so that none takes all of them; clients that were admitted a moment ago have places of their own.
 *
 * While saturated, the loop must not advance all requests a little: all answers would be late. Nor may it accept only as
 * many requests as it can answer: the others would wait in the kernel, until that drops them without an answer. To accept
 * and shed a request is cheap, but not free. So while requests wait, the loop accepts at most three times as many as it
 * admits. As soon as an iteration of the loop brings no arrival, a batch is admitted, so that the loop is never idle while
 * requests wait.
 *
 * The first of many requests that arrive at once must not be answered while the others are still in the kernel either:
 * libuv accepts one connection per iteration of the loop (uv__server_io), and an iteration in which much is sent is long.
 * So all of them wait for a moment, until an iteration has brought no connection.
 *
 * A request that waits for Git, or whose client reads slowly, delays no other: it causes no work in the loop.
 */
export class AdmissionGate {
  readonly #ordinaryShares: FairShares
  readonly #admittedShares: FairShares
  readonly #events: GateEvents
  readonly #queue: TimedQueue
  readonly #load: EventLoopLoad
  readonly #iterationEnd: (call: () => void) => void
  readonly #clock: Clock
  #connections = 0
  /** While connections arrive: resolves when no more do. */
  #arrival: Promise<void> | undefined
  /** Requests that arrived in this iteration of the loop, and in earlier iterations since the last batch. */
  #arrivedThisIteration = 0
  #arrivedSinceBatch = 0

  constructor(options: AdmissionGateOptions) {
    const { max, clientFactor = Infinity, events = {} } = options
    this.#ordinaryShares = new FairShares(max, clientFactor, fewPlaces)
    this.#admittedShares = new FairShares(max * (admittedFactor - 1), clientFactor, fewPlaces)
    this.#events = events
    this.#queue = new TimedQueue({ ...options, perGroup: Infinity })
    this.#load = new EventLoopLoad(options)
    this.#clock = options.clock ?? systemClock
    this.#iterationEnd = options.iterationEnd ?? ((call: () => void) => void setImmediate(call))
  }

  /** Requests that are being answered. */
  get admitted(): number {
    return this.#queue.running
  }

  /** Requests that wait to be admitted. */
  get waiting(): number {
    return this.#queue.waiting
  }

  /** Records that a connection was accepted: a request on it will follow. */
  connectionAccepted(): void {
    this.#connections++
    this.#arrival ??= this.#arrivalsEnded().finally(() => (this.#arrival = undefined))
  }

  async #arrivalsEnded(): Promise<void> {
    const latest = this.#clock.now() + arrivalMs
    const iterationEnd = (): Promise<void> => new Promise(this.#iterationEnd)
    await iterationEnd()
    let seen
    do {
      seen = this.#connections
      await iterationEnd()
    } while (this.#connections > seen && this.#clock.now() < latest)
  }

  /**
   * Admits a request, at once or later. When the request is aborted its place is free at once, although the work that it
   * waits for may take longer to end.
   * @returns releases the place; has no effect when repeated
   * @throws Overloaded, or that the request was aborted; or rejects with them
   */
  admit(request: GateRequest, caller: AbortableRequest): (() => void) | Promise<() => void> {
    if (this.#arrival) return this.#arrival.then(() => this.#admit(request, caller))
    return this.#admit(request, caller)
  }

  #admit(request: GateRequest, caller: AbortableRequest): (() => void) | Promise<() => void> {
    caller.throwIfAborted()
    this.#arrivedThisIteration++
    const { client, admitted = false } = request
    const shares = admitted ? this.#admittedShares : this.#ordinaryShares
    const denied = shares.take(client)
    if (denied !== undefined) throw this.#shed(new Overloaded(denied, 1))
    if (this.waiting > 0 || this.#load.saturated) return this.#wait(request, shares, caller)
    this.#queue.start(request.group)
    return this.#grant(request, shares, caller)
  }

  #shed(why: Overloaded): Overloaded {
    this.#events.shed?.(why.reason)
    return why
  }

  #wait(request: GateRequest, shares: FairShares, caller: AbortableRequest): Promise<() => void> {
    const rejection = this.#queue.rejection(request)
    if (rejection) {
      shares.give(request.client)
      throw this.#shed(rejection)
    }
    if (this.waiting === 0) {
      this.#arrivedThisIteration = 1
      this.#iterationEnd(() => this.#endIteration())
    }
    return new Promise((resolve, reject) => {
      const granted = (waitedMs: number): void => {
        this.#events.waited?.(waitedMs)
        resolve(this.#grant(request, shares, caller))
      }
      const expired = (why: Overloaded): void => {
        shares.give(request.client)
        reject(this.#shed(why))
      }
      const leave = this.#queue.enqueue(request, granted, expired)
      caller.onAbort(() => {
        if (!leave()) return
        shares.give(request.client)
        reject(new Error('the request was aborted'))
      })
    })
  }

  #endIteration(): void {
    this.#arrivedSinceBatch += this.#arrivedThisIteration
    if (this.#arrivedThisIteration === 0 || this.#arrivedSinceBatch >= batch * arrivalsPerAdmission) {
      this.#arrivedSinceBatch = 0
      for (let count = 0; count < batch; count++) this.#queue.grantNext()
    }
    this.#arrivedThisIteration = 0
    if (this.waiting > 0) this.#iterationEnd(() => this.#endIteration())
  }

  #grant({ group, client }: GateRequest, shares: FairShares, caller: AbortableRequest): () => void {
    let held = true
    const release = (): void => {
      if (!held) return
      held = false
      this.#queue.finish(group)
      shares.give(client)
    }
    caller.onAbort(release)
    return release
  }
}
