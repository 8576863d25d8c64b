import { fleetLeasesMax, type NewFleetLease } from '../../fleet/engine.js'
import type { Clock } from '../../limits/clock.js'
import { TooManyLeases } from '../leases/leases.js'

/** A lease of which nodes have told each other, since one of them could not tell the engine. */
export interface ToldLease {
  readonly lease: NewFleetLease
  /** Was it opened by this node? */
  readonly isOwn: boolean
  /** In milliseconds of the clock. */
  readonly expiresAtMs: number
  readonly cancel: () => void
}

/** The leases of which nodes have told each other, with their time limits by this node's clock. */
export class ToldLeases {
  readonly #clock: Clock
  readonly #expired: (told: ToldLease) => void
  readonly #told = new Map<string, ToldLease>()

  constructor(clock: Clock, expired: (told: ToldLease) => void) {
    this.#clock = clock
    this.#expired = expired
  }

  get(id: string): ToldLease | undefined {
    return this.#told.get(id)
  }

  /** Enters a lease, or its new time limit. @returns is it new? @throws TooManyLeases */
  open(lease: NewFleetLease, isOwn: boolean, leftMs = lease.ttlMs): boolean {
    const before = this.#told.get(lease.id)
    if (!before && this.#told.size >= fleetLeasesMax)
      throw new TooManyLeases(`${fleetLeasesMax} leases are open`)
    before?.cancel()
    const told: ToldLease = {
      ...{ lease, isOwn: isOwn || (before?.isOwn ?? false) },
      expiresAtMs: this.#clock.now() + leftMs,
      cancel: this.#clock.after(leftMs, () => this.close(lease.id) && this.#expired(told)),
    }
    this.#told.set(lease.id, told)
    return !before
  }

  /** Removes a lease. @returns it; undefined: there is none */
  close(id: string): ToldLease | undefined {
    const told = this.#told.get(id)
    told?.cancel()
    this.#told.delete(id)
    return told
  }

  values(): Iterable<ToldLease> {
    return this.#told.values()
  }

  /** Cancels all timers. */
  clear(): void {
    for (const { cancel } of this.#told.values()) cancel()
    this.#told.clear()
  }
}
