import type { ObservedState } from '../../../freshness/observed-state.js'
import type { ServingConfig } from '../../../git/process/serving-config.js'
import type { RefDetails } from '../../../git/state/ref-details.js'
import type { Repository } from '../../../git/state/repository.js'
import type { Target } from '../../target.js'
import { LeasedRefs } from '../observation/leased-refs.js'
import type { KnownListing } from './known-listings.js'

/** One run of a fill of a repository's refs. */
export interface RefsRun {
  /** Of the entry. */
  readonly key: string
  /** Names the repository and no other one. */
  readonly target: Target
  readonly repository: Repository
  readonly serving: ServingConfig
  /** The observation with which the fill began. */
  readonly seen: ObservedState
  /** Has a run of the same fill failed? Then admitted clients wait for it. */
  readonly isRetry: boolean
  /** Where leases alone decide: what the listing may be made of. Left out: all refs must be listed. */
  readonly inheritance?: Inheritance | undefined
}

/**
 * The listing that a run in lease mode may take refs from. What no lease has told of must be seen after the maximum age, so the
 * result is as old as that listing.
 */
export interface Inheritance {
  readonly base: KnownListing
  /** Milliseconds that the run's bytes are old at its start, at most; a run that lists all refs sets it to 0 before it does. */
  ageMs: number
}

/**
 * Returns what an observation saw of the refs on disk. undefined: it does not tell, or entries of its state have a maximum age, so that
 * what has changed is not all that a new one must have.
 */
export const refDetailsOf = ({ details, maxAgeMs }: ObservedState): RefDetails | undefined =>
  maxAgeMs === Infinity && !(details instanceof LeasedRefs) ? (details as RefDetails | undefined) : undefined

/** Returns what leases tell of the refs, where they alone decide. undefined: they do not, or one is open. */
export const leasedRefsOf = ({ details }: ObservedState): LeasedRefs | undefined =>
  details instanceof LeasedRefs ? details : undefined
