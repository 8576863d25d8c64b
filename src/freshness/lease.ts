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

/** What the leases tell of a repository at one moment. The two counts never decrease. */
export interface LeaseStatus {
  /** Leases open now. */
  readonly open: number
  /** Leases opened so far. */
  readonly openings: number
  /** Changes so far: leases that ended with one or expired, and invalidations. */
  readonly changes: number
}
