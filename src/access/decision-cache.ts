import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { entriesAtMost } from '../limits/entries-at-most.js'

export interface DecisionCacheOptions {
  /**
   * Milliseconds for which a decision is used, counted from the start of the check. 0: only for requests that arrived
   * before the check started.
   */
  readonly forMs: number
  /** Most decisions that are cached. */
  readonly max: number
  /** Whether a decision depends on its key alone, not on the time. Then a check that is running can always be shared. */
  readonly timeIndependent?: boolean
}

/** A check that is running. */
interface Flight<D> {
  readonly startedAt: number
  readonly decision: Promise<D>
  /** The next check, for requests that arrived too late for this one; starts when this one has ended. */
  next?: { readonly start: () => void; readonly decision: Promise<D> }
}

/**
 * Caches decisions whose keys hold secrets: an LRU cache with a time limit, and single flight. A decision is not used if
 * its check started longer ago than the time limit allows: requests that arrive too late for the running check share the
 * next one with all that arrive before it starts. So at most one check per key runs.
 *
 * Keys are equal if all their parts are. Only a keyed hash of the parts is kept, so that no secret outlives its request.
 */
export class DecisionCache<D extends object> {
  readonly #options: DecisionCacheOptions
  readonly #hashKey = randomBytes(32)
  readonly #cached: LRUCache<string, D>
  readonly #flights = new Map<string, Flight<D>>()

  constructor(options: DecisionCacheOptions) {
    this.#options = options
    this.#cached = new LRUCache({ ...entriesAtMost(options.max), ttl: Math.max(options.forMs, 1) })
  }

  /** Resolves with the decision for a key. @throws what `decide` throws, which is shared by waiting requests and not cached */
  async get(parts: readonly unknown[], decide: () => Promise<D>): Promise<D> {
    const key = createHmac('sha256', this.#hashKey).update(JSON.stringify(parts)).digest('base64')
    const cached = this.#cached.get(key)
    if (cached) return cached
    const flight = this.#flights.get(key)
    if (!flight) return this.#start(key, decide)
    const { forMs, timeIndependent } = this.#options
    if (timeIndependent || performance.now() - flight.startedAt < forMs) return flight.decision
    flight.next ??= this.#prepare(key, decide)
    return flight.next.decision
  }

  /** Forgets all decisions. Those of checks that are running answer the requests that wait for them, and no others. */
  clear(): void {
    this.#cached.clear()
    this.#flights.clear()
  }

  #start(key: string, decide: () => Promise<D>): Promise<D> {
    const flight: Flight<D> = { startedAt: performance.now(), decision: decide() }
    this.#flights.set(key, flight)
    const finish = (decision?: D): void => {
      const isCurrent = this.#flights.get(key) === flight
      if (decision && isCurrent) this.#store(key, decision, flight.startedAt)
      // The next flight replaces this one; requests that arrive until then share it.
      if (flight.next) flight.next.start()
      else if (isCurrent) this.#flights.delete(key)
    }
    flight.decision.then(finish, () => finish())
    return flight.decision
  }

  #prepare(key: string, decide: () => Promise<D>): NonNullable<Flight<D>['next']> {
    let start = (): void => {}
    const started = new Promise<void>((resolve) => (start = resolve))
    return { start, decision: started.then(() => this.#start(key, decide)) }
  }

  #store(key: string, decision: D, startedAt: number): void {
    const { forMs, timeIndependent } = this.#options
    const ttl = timeIndependent ? forMs : forMs - (performance.now() - startedAt)
    if (ttl > 0) this.#cached.set(key, decision, { ttl })
  }
}
