import type { Entry } from '../../streamcache/index.js'
import type { AgedReading, AgedRequest } from './aged-request.js'

/** When and in which generation the request to the origin began that made or confirmed an entry. */
export interface AgeStart {
  /** In milliseconds of the clock. */
  readonly atMs: number
  /** The number of changes of the repository that leases and invalidations had told of by then. */
  readonly generation: number
}

/** How a request came to the round that answers it. */
type Role = 'filled' | 'joined' | 'gathered'

/** A client's request that waits for the round's answer. */
interface Waiter {
  readonly request: AgedRequest
  readonly role: Role
  readonly resolve: (reading: AgedReading) => void
  readonly reject: (error: unknown) => void
  /** Removes the listener from the client's signal. */
  readonly release: () => void
}

/** One question to the origin, and the requests that share its answer. It gathers requests until `start` is set. */
export class Round {
  /** undefined: the question has not been asked yet. */
  start: AgeStart | undefined
  /** What the round's fill makes; undefined: no fill has begun. */
  entry: Entry | undefined
  /** The key was forgotten meanwhile: what the round makes must not be kept, and answers no later request. */
  forgotten = false
  /** Is another node asked, and not the origin? */
  borrowed = false
  #settled = false
  /** The client that paid for an owed refresh; undefined in a round for clients that wait. */
  #owedBy: AgedRequest | undefined
  readonly #waiters = new Set<Waiter>()
  readonly #controller = new AbortController()

  /** @param owedBy for an owed refresh: the client that paid for it */
  constructor(owedBy?: AgedRequest) {
    this.#owedBy = owedBy
  }

  /** Aborts the question. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Has it answered all that waited? Then it is about to end, or its fill answers those that come. */
  get settled(): boolean {
    return this.#settled
  }

  get cause(): 'client' | 'refresh' {
    return this.#owedBy ? 'refresh' : 'client'
  }

  /** The request by which the question is asked, on behalf of all: a client's, if there is one; undefined: none is left. */
  get request(): AgedRequest | undefined {
    let first = this.#owedBy
    for (const { request } of this.#waiters) {
      if (first && !first.isForPeer) break
      if (!first || !request.isForPeer) first = request
    }
    return first
  }

  /** Most milliseconds that another node's answer may be old to satisfy all that wait now. */
  get oldestMs(): number {
    const requests = [...this.#waiters].map(({ request }) => request)
    if (this.#owedBy) requests.push(this.#owedBy)
    return Math.min(...requests.map(({ oldestMs = 0 }) => oldestMs))
  }

  /** Rejects the requests of other nodes that wait. */
  refusePeers(error: unknown): void {
    for (const waiter of this.#waiters) {
      if (!waiter.request.isForPeer) continue
      this.#waiters.delete(waiter)
      waiter.release()
      waiter.reject(error)
    }
  }

  /**
   * Resolves with the reading once the round has an answer. @throws the round's error, or the reason of the client's signal
   */
  wait(request: AgedRequest, role: Role): Promise<AgedReading> {
    return new Promise((resolve, reject) => {
      const { signal } = request
      if (signal?.aborted) return reject(signal.reason)
      const leave = (): void => {
        this.#waiters.delete(waiter)
        reject(signal?.reason)
        this.#abortIfUnwanted()
      }
      const release = (): void => signal?.removeEventListener('abort', leave)
      const waiter: Waiter = { request, role, resolve, reject, release }
      signal?.addEventListener('abort', leave, { once: true })
      this.#waiters.add(waiter)
    })
  }

  /** Withdraws the paid refresh: the question goes on only if a client waits for it. */
  withdraw(): void {
    this.#owedBy = undefined
    this.#abortIfUnwanted()
  }

  /** A question that is under way ends if nobody waits for its answer and no fill has begun. */
  #abortIfUnwanted(): void {
    if (this.start && !this.entry && !this.request) this.abort(new Error('no client waits for the answer'))
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }

  /** Answers all that wait. @param answer returns one request's reading, or throws the error for it */
  settle(answer: (request: AgedRequest, role: Role) => AgedReading): void {
    this.#settled = true
    for (const { request, role, resolve, reject, release } of this.#waiters) {
      release()
      try {
        resolve(answer(request, role))
      } catch (error) {
        reject(error)
      }
    }
    this.#waiters.clear()
  }
}

/** The rounds of a key: one whose question is being asked, or is about to be, and the requests that wait for the next. */
export interface Rounds {
  running: Round
  gathering?: Round
}

/** The age of a committed entry. */
export interface Age extends AgeStart {
  /** The last client that was answered from the entry since its age began: it has paid for a refresh. */
  owedBy: AgedRequest | undefined
}

/** May an entry of this age answer a request although asking has failed? Also after an invalidation: see `isStale`. */
export function isYoungEnough({ atMs }: AgeStart, { arrivedAtMs, maxAgeMs, staleMs }: AgedRequest): boolean {
  return staleMs > 0 && atMs >= arrivedAtMs - maxAgeMs - staleMs
}
