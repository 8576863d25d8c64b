import type { Leases } from '../../freshness/leases.js'
import type { Repository } from '../../git/state/repository.js'
import { holdLease } from '../held-lease.js'
import type { Modes } from './observation/modes.js'

export interface DiskLeasesOptions {
  readonly leases: Leases
  readonly modes: Modes
}

/** The leases of mutators inside this process on repositories here. */
export class DiskLeases {
  readonly #options: DiskLeasesOptions

  constructor(options: DiskLeasesOptions) {
    this.#options = options
  }

  /**
   * Holds a lease as `holdLease` does. In the mode `observe` it ends as unchanged: the disk shows whether anything has
   * changed, and what was filled meanwhile (for a client that a hook has called, say) is not filled again.
   */
  hold(repository: Repository, reason: string): () => void {
    const { leases, modes } = this.#options
    const end = holdLease(leases, repository.commonDir, reason)
    return () => end(modes.of(repository).mode === 'lease' ? 'changed' : 'unchanged')
  }
}
