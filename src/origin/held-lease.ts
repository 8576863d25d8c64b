import { heldLeaseMs, renewalIntervalMs } from '../freshness/lease-renewal.js'
import type { LeaseEnd } from '../freshness/lease.js'
import { TooManyLeases, type Leases } from '../freshness/leases.js'

/**
 * Holds a lease for a mutator inside this process until the returned function is called, or this process dies. If there are
 * too many leases, the repository is invalidated at the end instead.
 * @param endsAs tells, at the end, what the end of the lease means
 */
export function holdLease(
  leases: Leases,
  repository: string,
  reason: string,
  endsAs: () => Extract<LeaseEnd, 'changed' | 'unchanged'>,
): () => void {
  try {
    const { id } = leases.open(repository, heldLeaseMs, reason)
    const renewal = setInterval(() => leases.renew(id), renewalIntervalMs(heldLeaseMs)).unref()
    return () => {
      clearInterval(renewal)
      // A process that was suspended may have missed the time limit: then the lease expired before, and counts as changed.
      if (!leases.end(id, endsAs())) leases.invalidate(repository)
    }
  } catch (error) {
    if (!(error instanceof TooManyLeases)) throw error
    return () => leases.invalidate(repository)
  }
}
