import type { Clock } from '../../limits/clock.js'
import { Overloaded } from '../../limits/overloaded.js'
import { FillError } from '../../streamcache/index.js'
import type { Metrics } from '../../telemetry/metrics.js'
import { PeerRefused, PeerSilent, PeerUnreachable } from '../peers/peer.js'
import type { Borrow, Claimed, Claims, Decision } from './claims.js'
import type { Waiter, Waiters } from './waiters.js'

export interface ElectionOptions {
  readonly claims: Claims
  readonly waiters: Waiters
  readonly clock: Clock
  /** Returns a number that is at least 0 and less than 1. */
  readonly random: () => number
  /** Milliseconds that all the waiting of one fill may take. */
  readonly limitMs: number
  readonly metrics: Pick<Metrics, 'fleetTakeovers'>
}

/** How often a fill claims anew after nodes have failed it, and after they have refused; then it runs here. */
const failuresMax = 2
const refusalsMax = 5
/** Milliseconds between two claims while a silent node holds the lease; varies by a fifth. */
const pollMs = 1000
/** The least of them, if the time limit is about to pass, as far as the engine says. */
const leastPollMs = 20
/** Milliseconds before the claim that follows a refusal; doubles with each, and varies by half. */
const refusedMs = 50

const alone: Decision = { kind: 'run', lease: undefined }

/** Decides who makes the bytes of one fill, and decides anew when the node that was to make them has failed. */
export class Election {
  readonly #options: ElectionOptions
  readonly #claimed: Claimed
  readonly #deadline: number
  #failures = 0
  #refusals = 0

  constructor(claimed: Claimed, options: ElectionOptions) {
    this.#claimed = claimed
    this.#options = options
    this.#deadline = options.clock.now() + options.limitMs
  }

  /** Claims the fill. Never rejects. */
  async first(): Promise<Decision> {
    return this.#claim()
  }

  async #claim(rob?: string): Promise<Decision> {
    const { claims } = this.#options
    return claims.count(await claims.claim(this.#claimed, rob))
  }

  /**
   * Claims the fill anew after a node that was asked has thrown `error`. At last the fill runs here without a lease.
   * @throws the error, if it says that the fill has failed; FillError if it takes too long; the signal's reason
   */
  async again(borrow: Borrow, error: unknown, signal: AbortSignal): Promise<Decision> {
    const reason = reasonOf(error)
    if (!reason) throw error
    this.#options.metrics.fleetTakeovers.inc({ reason })
    const isExhausted = reason === 'refused' ? ++this.#refusals > refusalsMax : ++this.#failures > failuresMax
    if (isExhausted || (error instanceof PeerRefused && error.why === 'different')) return alone
    // A published record does not end by itself, whatever has become of its node.
    if (reason === 'unreachable' || borrow.entry) return this.#claim(borrow.token)
    const waiter = this.#options.waiters.listen(this.#claimed)
    try {
      return await (reason === 'silent'
        ? this.#outwait(borrow, waiter, signal)
        : this.#afterRefusal(waiter, signal))
    } finally {
      waiter.close()
    }
  }

  async #afterRefusal(waiter: Waiter, signal: AbortSignal): Promise<Decision> {
    const delayMs = refusedMs * 2 ** (this.#refusals - 1)
    await waiter.next(delayMs * (0.5 + this.#options.random()), signal)
    return this.#claim()
  }

  /** Claims again and again until the lease of a silent node has ended in one way or another. */
  async #outwait({ node, token }: Borrow, waiter: Waiter, signal: AbortSignal): Promise<Decision> {
    const { claims, clock, random } = this.#options
    for (;;) {
      const decision = await claims.claim(this.#claimed)
      const isSame = decision.kind === 'borrow' && decision.token === token && !decision.entry
      if (!isSame) return claims.count(decision)
      const leftMs = this.#deadline - clock.now()
      if (leftMs <= 0)
        throw new FillError('timeout', `the node ${node}, which holds the fill lease, gives no sign of life`)
      const waitMs = Math.min(pollMs, Math.max(leastPollMs, decision.leftMs + 1)) * (0.8 + 0.4 * random())
      await waiter.next(Math.min(waitMs, leftMs), signal)
    }
  }
}

/** Returns why an error calls for another node; undefined: it does not. */
function reasonOf(error: unknown): 'unreachable' | 'silent' | 'refused' | undefined {
  if (error instanceof PeerUnreachable) return 'unreachable'
  if (error instanceof PeerSilent) return 'silent'
  // What sheds another node says nothing about this one, which may have processes to spare.
  return error instanceof PeerRefused || error instanceof Overloaded ? 'refused' : undefined
}
