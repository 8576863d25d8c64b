import { after } from '../freshness/after.js'
import { FleetUnreachable } from '../freshness/fleet-unreachable.js'
import { heldLeaseMs, renewalIntervalMs } from '../freshness/leases/lease-renewal.js'
import type { Lease, LeaseEnd } from '../freshness/leases/lease.js'
import { TooManyLeases } from '../freshness/leases/leases.js'
import type { MutatorLeases } from '../freshness/leases/mutator-leases.js'
import { Overloaded } from '../limits/overloaded.js'
import { UpstreamUnavailable } from './faults/upstream-errors.js'
import type { OriginResponse } from './pass-through.js'

/** What is known at the end of a lease that its holder has ended. */
export type HeldLeaseEnd = Extract<LeaseEnd, 'changed' | 'unchanged'>

/** Ends a held lease. Never throws, and works on in the background where other processes must be told. */
export type HeldLease = (end: HeldLeaseEnd) => void

/** What matters in a fleet only. */
export interface HoldOptions {
  /**
   * Do others answer from what they have, unless they know of the lease? Then nothing may change without it. Left out, and
   * when false: what changes is seen even so, if the fleet cannot be reached.
   */
  readonly isRequired?: () => boolean
  /** Called once if renewals have failed for so long that the lease is about to expire elsewhere, or if it has ended there. */
  readonly lost?: () => void
}

/**
 * Holds a lease for a mutator inside this process until the returned function is called, or this process dies. If there are
 * too many leases, the repository is invalidated at the end instead. A promise where other processes are told: nothing may
 * change before it has resolved. @throws FleetUnreachable if the lease is required; or rejects with it
 */
export function holdLease(
  leases: MutatorLeases,
  repository: string,
  reason: string,
  options: HoldOptions = {},
): HeldLease | Promise<HeldLease> {
  const invalidate = (): void => settleQuietly(leases.invalidate(repository))
  const held = ({ id }: Lease): HeldLease => {
    const stop = renewRegularly(leases, id, options.lost)
    return (end) => {
      stop()
      // A process that was suspended may have missed the time limit: then the lease expired before, and counts as changed.
      settleQuietly(after(leases.end(id, end), (lease) => lease || invalidate()))
    }
  }
  const notHeld = (error: unknown): HeldLease => {
    const goesOn =
      error instanceof TooManyLeases || (error instanceof FleetUnreachable && !options.isRequired?.())
    if (!goesOn) throw error
    return invalidate
  }
  try {
    const opened = leases.open(repository, heldLeaseMs, reason)
    return opened instanceof Promise ? opened.then(held, notHeld) : held(opened)
  } catch (error) {
    return notHeld(error)
  }
}

/** Renews a lease until the returned function is called. */
function renewRegularly(leases: MutatorLeases, id: string, lost?: () => void): () => void {
  const intervalMs = renewalIntervalMs(heldLeaseMs)
  let renewedAtMs = performance.now()
  const end = (): void => {
    // Its holder may have ended it while the renewal was under way.
    if (isStopped) return
    stop()
    lost?.()
  }
  const failed = (): void => {
    if (performance.now() - renewedAtMs >= heldLeaseMs - intervalMs * 1.5) end()
  }
  const timer = setInterval(() => {
    const renewed = leases.renew(id)
    if (!(renewed instanceof Promise)) return
    // The time limit counts from when the engine was asked, at the earliest.
    const atMs = performance.now()
    const taken = (lease: Lease | undefined): void => {
      if (lease) renewedAtMs = atMs
      // It has expired while this process was suspended, say: others have trusted what they have since then.
      else end()
    }
    renewed.then(taken, failed)
  }, intervalMs).unref()
  let isStopped = false
  const stop = (): void => {
    isStopped = true
    clearInterval(timer)
  }
  return stop
}

/** A fleet that cannot be reached is told later: its leases take effect here at once. */
function settleQuietly(work: unknown): void {
  if (work instanceof Promise) work.catch(() => {})
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
