import type { Lease, LeaseEnd, LeaseStatus } from './lease.js'

/**
 * Mutator leases, of this process alone (`Leases`) or of a fleet (`FleetLeases`). A promise is returned only where another
 * process must be told or asked.
 */
export interface MutatorLeases {
  /** Leases open now, as far as this process knows. */
  readonly size: number

  /**
   * Has the next statusOf() reflect all that had happened when this was called. undefined: it does already. Never rejects: if
   * that cannot be found out, the status says that a lease is open.
   * @param once only if nothing was found out yet: for those to whom hints of later changes are enough
   */
  refresh(repository: string, once?: 'once'): Promise<void> | undefined

  /** Returns what is known of a repository. Neither count ever decreases. */
  statusOf(repository: string): LeaseStatus

  /**
   * Returns the names of all refs that may have changed since statusOf() told that number of changes: bytes as Latin-1.
   * Left out: the names do not travel between the processes that share these leases.
   * @returns undefined: not every lease that has ended since has told what it changed, one has expired, or there was an invalidation.
   */
  changedSince?(repository: string, changes: number): readonly string[] | undefined

  list(): Lease[] | Promise<Lease[]>

  /** Opens a lease for that many milliseconds. @throws TooManyLeases, FleetUnreachable, or rejects with them */
  open(repository: string, ttlMs: number, reason?: string): Lease | Promise<Lease>

  /** Extends a lease to `ttlMs` from now, or to its earlier time limit again; undefined: there is no such lease. */
  renew(id: string, ttlMs?: number): Lease | undefined | Promise<Lease | undefined>

  /**
   * Ends a lease; undefined: there is no such lease, perhaps because it has expired.
   * @param refs full names of all refs that may have changed under it, bytes as Latin-1; left out: any
   */
  end(id: string, end: LeaseEnd, refs?: readonly string[]): Lease | undefined | Promise<Lease | undefined>

  /** Records that a repository may have changed: what was known of its refs is no longer valid. */
  invalidate(repository: string): void | Promise<void>

  close(): void
}
