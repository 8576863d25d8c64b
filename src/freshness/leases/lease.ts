/** A mutator lease: its holder may be changing a repository until the lease ends or its time limit passes. */
export interface Lease {
  /** 128 random bits in base64url. A client that knows the id may renew and end the lease. */
  readonly id: string
  /** The repository's common directory. */
  readonly repository: string
  readonly reason: string | undefined
  readonly openedAt: Date
  readonly ttlMs: number
  readonly expiresAt: Date
}

/** How a lease ended: its holder reported a change, or that nothing was changed; or its time limit passed. */
export type LeaseEnd = 'changed' | 'unchanged' | 'expired'

/** What the leases tell of a repository at one moment. The two counts never decrease, and mean nothing to other processes. */
export interface LeaseStatus {
  /** Leases open now; 1 or more also if that cannot be found out. */
  readonly open: number
  /** Leases opened so far. */
  readonly openings: number
  /** Changes so far: leases that ended with one or expired, and invalidations. */
  readonly changes: number
  /** Names the memory in which leases are counted: this process, or the engine of the fleet. */
  readonly incarnation: string
  /** Of a fleet: the same counts by names that are equal on all nodes; left out: only this process counts. */
  readonly shared?: SharedCounts
}

/** Names of counts: equal names, with equal incarnations, mean that nothing was counted in between. No space is in them. */
export interface SharedCounts {
  readonly openings: string
  readonly changes: string
}

/** Names the changes so far, equal on all nodes of a fleet. A process alone counts from 0 at each start. */
export const changesNameOf = ({ changes, incarnation, shared }: LeaseStatus): string | number =>
  shared ? `${incarnation} ${shared.changes}` : changes
