import { LRUCache } from 'lru-cache'
import { systemClock, type Clock } from '../clock.js'
import { RateLimited } from '../rate-limited.js'
import { clientGroup } from './client-group.js'
import { entriesAtMost } from '../entries-at-most.js'

export interface ClientRatesOptions {
  /** Requests per second that a client may send on average. */
  readonly perSecond: number
  /** Requests that it may send at once: the size of its bucket. */
  readonly burst: number
  /** Most clients that are remembered (LRU). A client that is forgotten has a full bucket again. */
  readonly max: number
  /** Told of each request that is refused. */
  readonly limited?: (by: 'user' | 'address') => void
  readonly clock?: Clock
}

/** Who sends a request. */
export interface RatedClient {
  /** The name that it was authenticated as; undefined: it was not, and its address counts. */
  readonly user?: string | undefined
  /** Empty: unknown, as on a Unix socket. Clients that cannot be told apart are not limited. */
  readonly address: string
  /**
   * Was the client admitted a moment ago, and is this the next step of what it began? Then its bucket may be overdrawn by
   * one burst: Git fails on a 429 in the middle of a fetch.
   */
  readonly isAdmitted?: boolean
}

/**
 * Limits the requests of each client by a token bucket. It is kept in the form of the generic cell rate algorithm (ITU-T
 * I.371): one number per client, the time at which its bucket is full again, which each request puts off by the time that
 * one token takes. A request that is refused takes no token.
 */
export class ClientRates {
  readonly #options: ClientRatesOptions
  /** When the buckets are full again, in milliseconds of the clock. */
  readonly #fullAt: LRUCache<string, number>
  readonly #clock: Clock
  readonly #tokenMs: number

  constructor(options: ClientRatesOptions) {
    this.#options = options
    this.#fullAt = new LRUCache(entriesAtMost(options.max))
    this.#clock = options.clock ?? systemClock
    this.#tokenMs = 1000 / options.perSecond
  }

  /** Clients that are remembered. */
  get size(): number {
    return this.#fullAt.size
  }

  /** Takes a token of a client. @throws RateLimited if it has none */
  take({ user, address, isAdmitted = false }: RatedClient): void {
    if (user === undefined && address === '') return
    const by = user === undefined ? 'address' : 'user'
    const key = `${by} ${user ?? clientGroup(address)}`
    const { burst, perSecond, limited } = this.#options
    const now = this.#clock.now()
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now) + this.#tokenMs
    const mayLackMs = burst * (isAdmitted ? 2 : 1) * this.#tokenMs
    const waitMs = fullAt - now - mayLackMs
    // Sums of fractions: a thousandth of a millisecond too much is not a token too many.
    if (waitMs > 0.001) {
      limited?.(by)
      throw new RateLimited(by, perSecond, waitMs)
    }
    this.#fullAt.set(key, fullAt)
  }
}
