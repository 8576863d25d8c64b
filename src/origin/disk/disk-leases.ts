import { after } from '../../freshness/after.js'
import type { MutatorLeases } from '../../freshness/leases/mutator-leases.js'
import type { Repository } from '../../git/state/repository.js'
import { holdLease } from '../held-lease.js'
import type { Modes } from './observation/modes.js'

export interface DiskLeasesOptions {
  readonly leases: MutatorLeases
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
   *
   * In a fleet that cannot be reached, a push to a repository in the mode `observe` goes on without a lease that others know
   * of, since they see it on the disk. In the mode `lease` nothing else would show it: the push is refused, and it is ended
   * when its lease is lost.
   * @param lost called if the lease is about to expire elsewhere and readers depend on it
   * @throws FleetUnreachable, or rejects with it
   */
  hold(repository: Repository, reason: string, lost?: () => void): (() => void) | Promise<() => void> {
    const { leases, modes } = this.#options
    const decides = (): boolean => modes.of(repository).mode === 'lease'
    const held = holdLease(leases, repository.commonDir, reason, {
      isRequired: decides,
      lost: () => decides() && lost?.(),
    })
    return after(held, (end) => () => end(decides() ? 'changed' : 'unchanged'))
  }
}
