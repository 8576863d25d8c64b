import { systemClock, type Clock } from '../../limits/clock.js'
import type { Metrics } from '../../telemetry/metrics.js'
import type { FleetEngine } from '../engine.js'
import type { Members } from '../members.js'
import type { FleetNames } from '../names.js'
import type { FaultCodec, Peers } from '../peers/peer.js'
import { ClaimedFill, type ClaimedFillOptions } from './claimed-fill.js'
import { Claims, type Claimed } from './claims.js'
import { Election } from './election.js'
import { SharedAnswers } from './shared-answers.js'
import type {
  FleetFills,
  FleetKey,
  SharedAnswer,
  SharedFill,
  SharedFillRequest,
  SharedQuestion,
} from './shared-fill.js'
import { Waiters } from './waiters.js'

export interface SharedFillsOptions {
  /** Answers or rejects in time: an EngineGate. */
  readonly engine: FleetEngine
  readonly peers: Peers
  readonly members: Pick<Members, 'preferred'>
  readonly names: FleetNames
  /** This node. */
  readonly node: string
  /** The longest that a fill may take, in milliseconds: no lease is held for longer, and no fill waits for longer. */
  readonly limitMs: number
  /** May all nodes open the files of committed entries? */
  readonly filesAreShared: boolean
  /** Returns how a failure is published: without credentials and names of refs. */
  readonly encode: FaultCodec['encode']
  readonly metrics: Pick<Metrics, 'fleetClaims' | 'fleetBorrowed' | 'fleetTakeovers' | 'fleetLosers'>
  readonly clock?: Clock
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: () => number
}

/**
 * Makes each fill once in a fleet:
 *
 *   SharedFills      what the fleet's user calls                                          shared-fills.ts
 *    ├ ClaimedFill   one fill: run here, or followed at a node, whichever was decided     claimed-fill.ts, passed-bytes.ts
 *    ├ SharedAnswers the same for questions whose answers are not kept by their state     shared-answers.ts
 *    ├ Election      who makes the bytes: claims, and claims anew if a node fails         election.ts
 *    ├ Claims        the engine's answers as decisions; publishes what came of fills      claims.ts
 *    │  └ HeldLease  a lease of this node, renewed until it is published                  held-lease.ts
 *    └ Waiters       woken by hints, sure by claiming again                               waiters.ts
 */
export class SharedFills implements FleetFills {
  readonly #options: SharedFillsOptions
  readonly #claims: Claims
  readonly #waiters: Waiters
  readonly #fillOptions: ClaimedFillOptions
  readonly #answers: SharedAnswers
  #isRetired = false

  constructor(options: SharedFillsOptions) {
    const { engine, clock = systemClock, random = Math.random } = options
    const claims = new Claims({ ...options, clock })
    const waiters = new Waiters(engine, clock)
    const elect = (claimed: Claimed): Election =>
      new Election(claimed, { ...options, claims, waiters, clock, random })
    const isRetired = (): boolean => this.#isRetired
    this.#options = options
    this.#claims = claims
    this.#waiters = waiters
    this.#fillOptions = { ...options, claims, elect, isRetired }
    this.#answers = new SharedAnswers({ ...options, claims, elect, isRetired })
  }

  share(request: SharedFillRequest): SharedFill {
    const { state, isRepaired = false } = request
    return new ClaimedFill(request, { ...this.#claimed(request, state), isRepaired }, this.#fillOptions)
  }

  ask(question: SharedQuestion<AsyncIterable<Buffer> | 'unchanged'>): Promise<SharedAnswer> {
    return this.#answers.ask(question, this.#claimed(question, undefined))
  }

  isPreferred(key: FleetKey): boolean {
    const { members, names, node } = this.#options
    return members.preferred(names.of(key).key) === node
  }

  #claimed(key: FleetKey, state: string | undefined): Claimed {
    return { ...this.#options.names.of(key), state }
  }

  /** Begins no fills for other nodes any more: they are refused, and claim the fills themselves. Those under way go on. */
  retire(): void {
    this.#isRetired = true
  }

  /** As `Claims.idle`. */
  idle(ms: number): Promise<void> {
    return this.#claims.idle(ms)
  }

  /** Stops listening to the engine. */
  close(): void {
    this.#waiters.close()
  }
}
