import { heldLeaseMs, renewalIntervalMs } from '../freshness/lease-renewal.js'
import type { LeaseEnd } from '../freshness/lease.js'
import { TooManyLeases, type Leases } from '../freshness/leases.js'
import { Overloaded } from '../limits/overloaded.js'
import { UpstreamUnavailable } from './faults/upstream-errors.js'
import type { OriginResponse } from './pass-through.js'

/** What is known at the end of a lease that its holder has ended. */
export type HeldLeaseEnd = Extract<LeaseEnd, 'changed' | 'unchanged'>

/**
 * Holds a lease for a mutator inside this process until the returned function is called, or this process dies. If there are
 * too many leases, the repository is invalidated at the end instead.
 */
export function holdLease(leases: Leases, repository: string, reason: string): (end: HeldLeaseEnd) => void {
  try {
    const { id } = leases.open(repository, heldLeaseMs, reason)
    const renewal = setInterval(() => leases.renew(id), renewalIntervalMs(heldLeaseMs)).unref()
    return (end) => {
      clearInterval(renewal)
      // A process that was suspended may have missed the time limit: then the lease expired before, and counts as changed.
      if (!leases.end(id, end)) leases.invalidate(repository)
    }
  } catch (error) {
    if (!(error instanceof TooManyLeases)) throw error
    return () => leases.invalidate(repository)
  }
}

/** Statuses of requests that were refused before they could change anything. */
const refused = new Set([401, 403, 404, 429])

/**
 * Sends a request to an upstream while a lease is held, which ends with the answer. What was refused, or was not even sent, has
 * changed nothing: else every client could end the age of whatever it likes.
 */
export async function answerUnderLease(
  end: (end: HeldLeaseEnd) => void,
  send: () => Promise<OriginResponse>,
): Promise<OriginResponse> {
  try {
    const response = await send()
    response.body.once('close', () => end(refused.has(response.status) ? 'unchanged' : 'changed'))
    return response
  } catch (error) {
    const wasSent = error instanceof UpstreamUnavailable ? error.wasAsked : !(error instanceof Overloaded)
    end(wasSent ? 'changed' : 'unchanged')
    throw error
  }
}
