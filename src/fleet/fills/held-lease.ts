import type { Clock } from '../../limits/clock.js'
import type { FillOutcome, FleetEngine, HeldClaim } from '../engine.js'

export interface HeldLeaseOptions {
  readonly engine: Pick<FleetEngine, 'renew' | 'publish'>
  readonly clock: Clock
  /** Milliseconds between two renewals. */
  readonly renewMs: number
  /** Milliseconds after which the lease is renewed no more. */
  readonly limitMs: number
  /** Called if the lease was lost before its fill has ended. */
  readonly lost: () => void
}

/** A fill lease of this node, renewed until what came of the fill is published, or until its limit. */
export class HeldLease {
  readonly #options: HeldLeaseOptions
  readonly #held: HeldClaim
  readonly #renewUntil: number
  #isLost = false
  #isPublished = false
  #cancel: (() => void) | undefined

  constructor(held: HeldClaim, options: HeldLeaseOptions) {
    this.#held = held
    this.#options = options
    this.#renewUntil = options.clock.now() + options.limitMs - held.ttlMs
    this.#renewLater()
  }

  /** Has the engine said that the lease is lost? */
  get isLost(): boolean {
    return this.#isLost
  }

  #renewLater(): void {
    const { clock, renewMs } = this.#options
    if (this.#isPublished || this.#isLost || clock.now() + renewMs > this.#renewUntil) return
    this.#cancel = clock.after(renewMs, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    // A renewal that fails says nothing about the lease: the next one may be in time.
    const isHeld = await this.#options.engine.renew(this.#held).catch(() => true)
    if (!isHeld) this.#isLost = true
    this.#renewLater()
  }

  /**
   * Ends the lease: the first call publishes what came of the fill, others do nothing. Resolves when the engine has
   * answered. Never rejects: if the engine is away, the lease ends by its time limit.
   */
  async publish(outcome: FillOutcome): Promise<void> {
    if (this.#isPublished) return
    this.#isPublished = true
    this.#cancel?.()
    const { engine, lost } = this.#options
    const isHeld = this.#isLost ? false : await engine.publish(this.#held, outcome).catch(() => true)
    if (!isHeld) lost()
  }
}
