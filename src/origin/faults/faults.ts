import { PeerRefused, PeerSilent, PeerUnreachable } from '../../fleet/peers/peer.js'
import { FilesystemUnanswered } from '../../git/filesystem/filesystem-unanswered.js'
import { PackRefused } from '../../git/process/pack-answer.js'
import { RepositoryExchanged } from '../../git/state/reopen-repository.js'
import { Overloaded } from '../../limits/overloaded.js'
import { FillError } from '../../streamcache/index.js'
import { BackingOff, RepositoryNotFound } from './errors.js'
import { UpstreamRefusal, UpstreamUnavailable } from './upstream-errors.js'

/** The `fault` label of a temporary failure of a fill, which the load, an earlier failure or another node has caused. */
export type MomentaryFault =
  'shed' | 'backing-off' | 'exchanged' | 'unanswered' | 'unavailable' | 'elsewhere' | 'peer'

/**
 * Returns the `fault` label of a temporary failure, which must not be counted against its key, since it does not come from
 * the repository; undefined for every other failure.
 */
export function momentaryFault(error: unknown): MomentaryFault | undefined {
  if (error instanceof Overloaded) return 'shed'
  if (error instanceof BackingOff) return 'backing-off'
  if (error instanceof RepositoryExchanged) return 'exchanged'
  if (error instanceof UpstreamUnavailable) return 'unavailable'
  if (error instanceof PeerRefused) return 'elsewhere'
  if (error instanceof PeerUnreachable || error instanceof PeerSilent) return 'peer'
  return error instanceof FilesystemUnanswered ? 'unanswered' : undefined
}

/** Returns whether an immediate retry of the same fill may succeed. */
export function retriable(error: unknown): boolean {
  if (error instanceof RepositoryNotFound) return false
  if (error instanceof PackRefused || error instanceof UpstreamRefusal) return false
  const fault = momentaryFault(error)
  return fault === undefined || fault === 'peer'
}

/** Does the failure of a fill tell that its key may fail again, so that the key backs off (R7)? */
export function isCounted(error: unknown): boolean {
  const cause = causeOf(error)
  if (momentaryFault(cause) !== undefined || cause instanceof UpstreamRefusal || refusalOf(error))
    return false
  // Its clients have left, or this process is about to end.
  return !(error instanceof FillError && (error.fault === 'unread' || error.fault === 'closed'))
}

/** Returns Git's refusal of a fetch, which its client is told, if that is why the fetch or its fill failed. */
export function refusalOf(error: unknown): PackRefused | undefined {
  const cause: unknown = error instanceof FillError ? error.cause : error
  return cause instanceof PackRefused ? cause : undefined
}

/**
 * Returns the cause of a fill's failure if it is temporary (overload, back-off) or an upstream's refusal, otherwise the error
 * itself.
 */
export function causeOf(error: unknown): unknown {
  if (!(error instanceof FillError)) return error
  const { cause } = error
  return cause instanceof UpstreamRefusal || momentaryFault(cause) !== undefined ? cause : error
}
