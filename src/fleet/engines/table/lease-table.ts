import type { Clock } from '../../../limits/clock.js'
import { fleetLeasesMax, TooManyFleetLeases, type FleetLease, type NewFleetLease } from '../../engine.js'
import type { FleetLeaseJournal } from './fleet-lease-journal.js'

/** How a mutator lease has ended; `expired`: its time limit has passed. */
export type FleetLeaseEnd = 'changed' | 'unchanged' | 'expired'

export interface LeaseTableOptions {
  readonly clock: Clock
  readonly journal?: FleetLeaseJournal | undefined
  /** The journal cannot be read or written: leases work, but do not survive a crash. */
  readonly journalFailed?: ((error: unknown) => void) | undefined
  /** Returns milliseconds since 1970: for the journal, which outlives the clock. */
  readonly wallNow?: (() => number) | undefined
  readonly opened: (repository: string) => void
  /** Called after a lease has ended. */
  readonly ended: (repository: string, end: FleetLeaseEnd) => void
  readonly leasesMax?: number | undefined
}

interface OpenLease {
  readonly lease: NewFleetLease
  /** By the clock. */
  readonly until: number
  /** Cancels the timer of the time limit. */
  readonly stop: () => void
}

/** The open mutator leases. A lease whose holder has disappeared ends at its time limit, as if with a change. */
export class LeaseTable {
  readonly #options: LeaseTableOptions
  readonly #leases = new Map<string, OpenLease>()
  /** The ids of each repository's leases. */
  readonly #ids = new Map<string, Set<string>>()

  constructor(options: LeaseTableOptions) {
    this.#options = options
    const wallNow = this.#wallNow
    for (const { expiresAtMs, ...lease } of this.#withJournal(() => options.journal?.open()) ?? []) {
      // The system's clock may have been set since the lease was written; it never lasts longer than its time limit.
      this.#enter(lease, Math.min(lease.ttlMs, Math.max(0, expiresAtMs - wallNow)))
      options.opened(lease.repository)
    }
  }

  /** Leases that are open. */
  get size(): number {
    return this.#leases.size
  }

  /** Returns how many leases of a repository are open. */
  openOf(repository: string): number {
    // Timers may be late.
    for (const id of [...(this.#ids.get(repository) ?? [])]) this.#find(id)
    return this.#ids.get(repository)?.size ?? 0
  }

  list(): FleetLease[] {
    return [...this.#leases.keys()].flatMap((id) => {
      const open = this.#find(id)
      return open ? [this.#describe(open)] : []
    })
  }

  /** @throws TooManyFleetLeases */
  open(lease: NewFleetLease, leftMs = lease.ttlMs): void {
    const { leasesMax = fleetLeasesMax, opened } = this.#options
    if (this.#leases.size >= leasesMax && !this.#leases.has(lease.id))
      throw new TooManyFleetLeases(`${leasesMax} leases are open`)
    this.#enter(lease, leftMs)
    this.#write(lease, leftMs)
    opened(lease.repository)
  }

  renew(id: string, ttlMs?: number): FleetLease | undefined {
    const before = this.#find(id)
    if (!before) return undefined
    const lease = { ...before.lease, ttlMs: ttlMs ?? before.lease.ttlMs }
    this.#enter(lease, lease.ttlMs)
    this.#write(lease, lease.ttlMs)
    return { ...lease, leftMs: lease.ttlMs }
  }

  end(id: string, end: FleetLeaseEnd): FleetLease | undefined {
    const open = end === 'expired' ? this.#leases.get(id) : this.#find(id)
    if (!open) return undefined
    const { repository } = open.lease
    open.stop()
    this.#leases.delete(id)
    const ids = this.#ids.get(repository)
    ids?.delete(id)
    if (ids?.size === 0) this.#ids.delete(repository)
    this.#options.ended(repository, end)
    // Last, so that after a crash in between the lease is still open.
    this.#withJournal(() => this.#options.journal?.remove(id))
    return this.#describe(open)
  }

  /** Cancels all timers. The journal stays for the next process. */
  close(): void {
    for (const { stop } of this.#leases.values()) stop()
    this.#leases.clear()
    this.#ids.clear()
  }

  /** Returns an open lease, and ends it if its time limit has passed. */
  #find(id: string): OpenLease | undefined {
    const open = this.#leases.get(id)
    if (!open || open.until > this.#options.clock.now()) return open
    this.end(id, 'expired')
    return undefined
  }

  #enter(lease: NewFleetLease, leftMs: number): void {
    const { clock } = this.#options
    this.#leases.get(lease.id)?.stop()
    const stop = clock.after(leftMs, () => this.end(lease.id, 'expired'))
    this.#leases.set(lease.id, { lease, until: clock.now() + leftMs, stop })
    const ids = this.#ids.get(lease.repository) ?? new Set()
    this.#ids.set(lease.repository, ids.add(lease.id))
  }

  #describe({ lease, until }: OpenLease): FleetLease {
    return { ...lease, leftMs: Math.max(0, until - this.#options.clock.now()) }
  }

  get #wallNow(): number {
    return this.#options.wallNow?.() ?? Date.now()
  }

  #write(lease: NewFleetLease, leftMs: number): void {
    const expiresAtMs = this.#wallNow + leftMs
    this.#withJournal(() => this.#options.journal?.write({ ...lease, expiresAtMs }))
  }

  #withJournal<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#options.journalFailed?.(error)
      return undefined
    }
  }
}
