import type { Clock } from '../../limits/clock.js'
import type { Metrics } from '../../telemetry/metrics.js'
import type { ClaimAnswer, FillOutcome, FleetEngine, FleetEntry, FleetFailure } from '../engine.js'
import type { DigestedKey } from '../names.js'
import { HeldLease } from './held-lease.js'

export interface ClaimsOptions {
  readonly engine: Pick<FleetEngine, 'claim' | 'renew' | 'publish'>
  /** This node. */
  readonly node: string
  /** Milliseconds for which a lease is held at most: the longest that a fill may take. */
  readonly limitMs: number
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'fleetClaims' | 'fleetLosers'>
}

/** What is claimed. */
export interface Claimed extends DigestedKey {
  readonly state: string | undefined
  /** As `SharedFillRequest.isRepaired`. */
  readonly isRepaired?: boolean
}

/** The state of claims for which failures in an earlier state do not count, nor entries. */
const repaired = 'repaired'

/** Another node makes an entry, or has made it. */
export interface Borrow {
  readonly kind: 'borrow'
  readonly node: string
  readonly token: string
  /** What is published; undefined: the node holds the lease. */
  readonly entry: FleetEntry | undefined
  /** Milliseconds until the lease's time limit; 0 if an entry is published. */
  readonly leftMs: number
}

/** Who makes the bytes of a fill. `run`: this node, without a lease if the engine is away. */
export type Decision =
  | { readonly kind: 'run'; readonly lease: HeldLease | undefined }
  | Borrow
  | { readonly kind: 'failed'; readonly failure: FleetFailure; readonly leftMs: number }

/** Milliseconds of a lease’s longest time limit, and between two renewals. */
const leaseMs = 10_000
const renewMs = 3000

const alone: Decision = { kind: 'run', lease: undefined }

/** The fill leases of this node: claims keys, and publishes what came of their fills. */
export class Claims {
  readonly #options: ClaimsOptions
  /** Ends of publishes under way, by key. */
  readonly #publishing = new Map<string, Promise<unknown>>()
  /** Leases that are not published yet. */
  readonly #held = new Set<HeldLease>()
  readonly #idle = new Set<() => void>()

  /** Time limit of a lease, in milliseconds. */
  readonly #ttlMs: number

  constructor(options: ClaimsOptions) {
    this.#options = options
    this.#ttlMs = Math.min(leaseMs, options.limitMs)
  }

  /** Claims a key, after what this node is publishing of it. Never rejects. @param rob as in `Claim` */
  async claim(claimed: Claimed, rob?: string): Promise<Decision> {
    const { node } = this.#options
    try {
      let answer = await this.#ask(claimed, rob)
      // It is asked for, so this node does not have it any more.
      if (answer.kind === 'published' && answer.node === node) answer = await this.#ask(claimed, answer.token)
      if (answer.kind === 'failed' && claimed.isRepaired)
        answer = await this.#ask({ ...claimed, state: repaired }, undefined)
      const isOwn = (answer.kind === 'published' || answer.kind === 'held') && answer.node === node
      return isOwn ? alone : this.#decide(claimed, answer)
    } catch {
      return alone
    }
  }

  /** Counts a decision that is acted upon. @returns the decision */
  count(decision: Decision): Decision {
    this.#options.metrics.fleetClaims.inc({ answer: nameOf(decision) })
    return decision
  }

  /** Ends a lease. The next claim of its key by this node waits until the engine has answered. */
  publish(claimed: DigestedKey, lease: HeldLease, outcome: FillOutcome): void {
    const id = idOf(claimed)
    const ended = Promise.all([this.#publishing.get(id), lease.publish(outcome)]).then(() => {
      if (this.#publishing.get(id) === ended) this.#publishing.delete(id)
      this.#tellIfIdle()
    })
    this.#publishing.set(id, ended)
    this.#held.delete(lease)
  }

  /** Resolves when this node holds no lease, and the engine has been told of the ends of all; or after that many milliseconds. */
  idle(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        this.#idle.delete(end)
        resolve()
      }
      const cancel = this.#options.clock.after(ms, end)
      this.#idle.add(end)
      this.#tellIfIdle()
    })
  }

  #tellIfIdle(): void {
    if (this.#held.size > 0 || this.#publishing.size > 0) return
    for (const end of [...this.#idle]) end()
  }

  async #ask({ repository, key, state }: Claimed, rob: string | undefined): Promise<ClaimAnswer> {
    await this.#publishing.get(idOf({ repository, key }))
    const { engine, node } = this.#options
    return engine.claim({
      ...{ repository, key, state, node, ttlMs: this.#ttlMs },
      ...(rob !== undefined && { rob }),
    })
  }

  #decide(claimed: Claimed, answer: ClaimAnswer): Decision {
    switch (answer.kind) {
      case 'granted':
        return { kind: 'run', lease: this.#hold(claimed, answer.token) }
      case 'held':
        return { ...answer, kind: 'borrow', entry: undefined }
      case 'published':
        return { ...answer, kind: 'borrow', leftMs: 0 }
      case 'failed':
        return isOurs(answer.leftMs) ? { ...answer, failure: shortened(answer.failure) } : alone
    }
  }

  #hold({ repository, key }: DigestedKey, token: string): HeldLease {
    const { engine, clock, node, limitMs, metrics } = this.#options
    const held = { repository, key, node, token, ttlMs: this.#ttlMs }
    const lost = (): void => metrics.fleetLosers.inc()
    const lease = new HeldLease(held, { engine, clock, renewMs, limitMs, lost })
    this.#held.add(lease)
    return lease
  }
}

/** Milliseconds for which a failure can be in force: the longest back-off, a minute, and what engines with coarse clocks add. */
const failureMaxMs = 65_000
/** Characters of a failure's texts: what the engine has may be of any length. */
const textMax = 1000

/** No node publishes failures for longer; one that the engine has for longer must not keep this node from serving. */
const isOurs = (leftMs: number): boolean => leftMs <= failureMaxMs

function shortened(failure: FleetFailure): FleetFailure {
  // The texts are shown in logs.
  const short = (text: string): string => text.slice(0, textMax).replaceAll(/\p{Cc}+/gu, ' ')
  return { ...failure, code: short(failure.code), message: short(failure.message) }
}

/** Returns one name for a repository and a key of it. */
export const idOf = ({ repository, key }: DigestedKey): string => `${repository} ${key}`

/** Returns the decision as the metric names it. */
function nameOf(decision: Decision): string {
  if (decision.kind === 'run') return decision.lease ? 'granted' : 'alone'
  if (decision.kind === 'borrow') return decision.entry ? 'published' : 'held'
  return 'failed'
}
