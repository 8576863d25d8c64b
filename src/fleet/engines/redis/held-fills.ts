import type { HeldClaim } from '../../engine.js'
import { systemClock } from '../../../limits/clock.js'

/** Above that many, those that have expired are looked for and forgotten. */
const sweepAbove = 1_000

/** Fill leases that were granted here and have not ended, so that they can be given back at once when a node leaves. */
export class HeldFills {
  readonly #held = new Map<string, { readonly claim: HeldClaim; until: number }>()
  #sweepAbove = sweepAbove

  add(claim: HeldClaim): void {
    if (this.#held.size >= this.#sweepAbove) this.#sweep()
    this.#held.set(claim.token, { claim, until: systemClock.now() + claim.ttlMs })
  }

  renewed({ token, ttlMs }: HeldClaim): void {
    const held = this.#held.get(token)
    if (held) held.until = systemClock.now() + ttlMs
  }

  delete({ token }: HeldClaim): void {
    this.#held.delete(token)
  }

  of(node: string): HeldClaim[] {
    return [...this.#held.values()].map(({ claim }) => claim).filter((claim) => claim.node === node)
  }

  #sweep(): void {
    const now = systemClock.now()
    for (const [token, { until }] of this.#held) if (until < now) this.#held.delete(token)
    this.#sweepAbove = Math.max(sweepAbove, 2 * this.#held.size)
  }
}
