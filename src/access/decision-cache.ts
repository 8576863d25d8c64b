import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'

export interface DecisionCacheOptions {
  /** Milliseconds for which a decision may be used, from when its making began; 0: for requests from before that only. */
  readonly forMs: number
  /** Most decisions that are cached. */
  readonly max: number
  /** Does a decision depend on its key alone, and not on when it is made? Then one that is under way may always be shared. */
  readonly timeless?: boolean
}

/** A decision that is being made. */
interface Flight<D> {
  readonly startedAt: number
  readonly decision: Promise<D>
  /** For requests that came too late for this one; started when this one has ended. */
  next?: { readonly start: () => void; readonly decision: Promise<D> }
}

/**
 * Caches decisions whose keys hold secrets: an LRU cache with a time limit, and single flight. A decision is not used if its
 * making began longer ago than the time limit allows: requests that come too late for one that is under way share the next,
 * with all that come until it starts. So at most one is being made for a key.
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
    this.#cached = new LRUCache({ max: options.max, ttl: Math.max(options.forMs, 1) })
  }

  /** Resolves with the decision for a key. @throws what `decide` throws, which is shared by waiting requests and not cached */
  async get(parts: readonly unknown[], decide: () => Promise<D>): Promise<D> {
    const key = createHmac('sha256', this.#hashKey).update(JSON.stringify(parts)).digest('base64')
    const cached = this.#cached.get(key)
    if (cached) return cached
    const flight = this.#flights.get(key)
    if (!flight) return this.#start(key, decide)
    const { forMs, timeless } = this.#options
    if (timeless || performance.now() - flight.startedAt < forMs) return flight.decision
    flight.next ??= this.#prepare(key, decide)
    return flight.next.decision
  }

  #start(key: string, decide: () => Promise<D>): Promise<D> {
    const flight: Flight<D> = { startedAt: performance.now(), decision: decide() }
    this.#flights.set(key, flight)
    const finish = (decision?: D): void => {
      if (decision) this.#store(key, decision, flight.startedAt)
      // The next flight takes the place of this one; requests that come until then share it.
      if (flight.next) flight.next.start()
      else this.#flights.delete(key)
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
    const { forMs, timeless } = this.#options
    const ttl = timeless ? forMs : forMs - (performance.now() - startedAt)
    if (ttl > 0) this.#cached.set(key, decision, { ttl })
  }
}
