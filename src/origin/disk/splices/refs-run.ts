import type { ObservedState } from '../../../freshness/observed-state.js'
import type { ServingConfig } from '../../../git/process/serving-config.js'
import type { RefDetails } from '../../../git/state/ref-details.js'
import type { Repository } from '../../../git/state/repository.js'
import type { Target } from '../../target.js'

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
}

/**
 * Returns what an observation saw of the refs. undefined: it does not tell, or entries of its state have a maximum age, so that
 * what has changed is not all that a new one must have.
 */
export const refDetailsOf = ({ details, maxAgeMs }: ObservedState): RefDetails | undefined =>
  maxAgeMs === Infinity ? (details as RefDetails | undefined) : undefined
