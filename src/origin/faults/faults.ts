import { FilesystemUnanswered } from '../../git/filesystem/filesystem-unanswered.js'
import { PackRefused } from '../../git/process/pack-answer.js'
import { RepositoryExchanged } from '../../git/state/reopen-repository.js'
import { Overloaded } from '../../limits/overloaded.js'
import { FillError } from '../../streamcache/index.js'
import { BackingOff, RepositoryNotFound } from './errors.js'
import { UpstreamRefusal, UpstreamUnavailable } from './upstream-errors.js'

/** The `fault` label of a temporary failure of a fill, which the load or an earlier failure has caused. */
export type MomentaryFault = 'shed' | 'backing-off' | 'exchanged' | 'unanswered' | 'unavailable'

/**
 * Returns the `fault` label of a temporary failure, which must not be counted against its key, since it does not come from
 * the repository; undefined for every other failure.
 */
export function momentaryFault(error: unknown): MomentaryFault | undefined {
  if (error instanceof Overloaded) return 'shed'
  if (error instanceof BackingOff) return 'backing-off'
  if (error instanceof RepositoryExchanged) return 'exchanged'
  if (error instanceof UpstreamUnavailable) return 'unavailable'
  return error instanceof FilesystemUnanswered ? 'unanswered' : undefined
}

/** Returns whether an immediate retry of the same fill may succeed. */
export const retriable = (error: unknown): boolean =>
  !(
    error instanceof RepositoryNotFound ||
    error instanceof PackRefused ||
    error instanceof UpstreamRefusal
  ) && momentaryFault(error) === undefined

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
