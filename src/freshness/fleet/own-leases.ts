import { fleetLeasesMax, type FleetLease, type NewFleetLease } from '../../fleet/engine.js'
import type { Clock } from '../../limits/clock.js'

/** A lease that was opened by this node. */
export interface OwnLease {
  readonly lease: NewFleetLease
  /** Of the engine when it was opened or renewed; undefined: not known. */
  readonly incarnation: string | undefined
  /** In milliseconds of the clock. */
  readonly expiresAtMs: number
}

/** The leases that were opened by this node and have not reached their time limits; other nodes may have ended some. */
export class OwnLeases {
  readonly #clock: Clock
  readonly #leases = new Map<string, OwnLease>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    this.#removeExpired()
    return this.#leases.size
  }

  add(lease: NewFleetLease, incarnation: string | undefined, leftMs = lease.ttlMs): void {
    if (this.#leases.size >= fleetLeasesMax) this.#removeExpired()
    this.#leases.set(lease.id, { lease, incarnation, expiresAtMs: this.#clock.now() + leftMs })
  }

  get(id: string): OwnLease | undefined {
    const own = this.#leases.get(id)
    return own && own.expiresAtMs > this.#clock.now() ? own : undefined
  }

  /** @returns it; undefined: there is none */
  delete(id: string): OwnLease | undefined {
    const own = this.#leases.get(id)
    this.#leases.delete(id)
    return own
  }

  values(): FleetLease[] {
    this.#removeExpired()
    const now = this.#clock.now()
    return [...this.#leases.values()].map(({ lease, expiresAtMs }) => ({
      ...lease,
      leftMs: expiresAtMs - now,
    }))
  }

  /** Returns the engine's names of their repositories. */
  get repositories(): Set<string> {
    this.#removeExpired()
    return new Set([...this.#leases.values()].map(({ lease }) => lease.repository))
  }

  #removeExpired(): void {
    const now = this.#clock.now()
    for (const [id, { expiresAtMs }] of this.#leases) if (expiresAtMs <= now) this.#leases.delete(id)
  }
}

/** What is known of a lease by its id alone. */
export const unknownLease = (id: string, repository: string): NewFleetLease => ({
  ...{ id, repository, name: repository, reason: undefined, openedAtMs: Date.now(), ttlMs: 0 },
})
