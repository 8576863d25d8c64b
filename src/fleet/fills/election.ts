import type { Clock } from '../../limits/clock.js'
import { Overloaded } from '../../limits/overloaded.js'
import { FillError } from '../../streamcache/index.js'
import type { Metrics } from '../../telemetry/metrics.js'
import { PeerRefused, PeerSilent, PeerUnreachable } from '../peers/peer.js'
import type { Borrow, Claimed, Claims, Decision } from './claims.js'
import type { HeldLease } from './held-lease.js'
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

/**
 * How often a fill claims anew after nodes were lost while they made it; then it has failed, since it may be what ends them.
 */
const lossesMax = 2
/** How often a fill claims anew after nodes could not be reached, and after they have refused; then it runs here. */
const unreachedMax = 5
const refusalsMax = 5
/** Milliseconds for which no node tries a fill that has cost `lossesMax` nodes and one more; varies by half. */
const lostMs = 30_000
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
  #losses = 0
  #unreached = 0
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
   * Claims the fill anew after a node that was asked has thrown `error`. A fill that no node can be asked for runs here at last,
   * without a lease. One during which several nodes were lost in a row has failed, in the whole fleet.
   * @param hasBegun had the node begun to answer?
   * @throws the error, if it says that the fill has failed; FillError if it takes too long; the signal's reason
   */
  async again(borrow: Borrow, error: unknown, hasBegun: boolean, signal: AbortSignal): Promise<Decision> {
    const reason = reasonOf(error)
    if (!reason) throw error
    this.#options.metrics.fleetTakeovers.inc({ reason })
    if (error instanceof PeerRefused) {
      if (error.why === 'different' || ++this.#refusals > refusalsMax) return alone
    } else if (hasBegun && !(error instanceof PeerUnreachable && error.isLeaving)) this.#losses++
    else if (++this.#unreached > unreachedMax) return alone
    const decision = await this.#next(borrow, reason, signal)
    return decision.kind === 'run' && decision.lease && this.#losses > lossesMax
      ? this.#fail(decision.lease)
      : decision
  }

  async #next(borrow: Borrow, reason: Reason, signal: AbortSignal): Promise<Decision> {
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

  /** Tells all nodes that the fill has failed. */
  #fail(lease: HeldLease): Decision {
    const { claims, random } = this.#options
    const leftMs = lostMs * (0.5 + random())
    const message = `${this.#losses} nodes in a row were lost while they made this`
    const failure = { state: this.#claimed.state, attempt: this.#losses, code: 'lost', message }
    claims.publish(this.#claimed, lease, { kind: 'failure', failure, ttlMs: leftMs })
    return { kind: 'failed', failure, leftMs }
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

type Reason = 'unreachable' | 'silent' | 'refused'

/** Returns why an error calls for another node; undefined: it does not. */
function reasonOf(error: unknown): Reason | undefined {
  if (error instanceof PeerUnreachable) return 'unreachable'
  if (error instanceof PeerSilent) return 'silent'
  // What sheds another node says nothing about this one, which may have processes to spare.
  return error instanceof PeerRefused || error instanceof Overloaded ? 'refused' : undefined
}
