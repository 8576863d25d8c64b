import type { Lease } from '../freshness/lease.js'
import type { Leases } from '../freshness/leases.js'
import { RepositoryNotFound, UnknownLease } from '../origin/faults/errors.js'
import type { LeaseSubjects } from '../origin/lease-subjects.js'

export interface LeaseServiceOptions {
  readonly leases: Leases
  readonly subjects: LeaseSubjects
}

/** A lease as it is shown to clients. */
export interface LeaseView extends Omit<Lease, 'repository'> {
  /** Relative to the root, or to the upstream's URL. */
  readonly repository: string
}

/** Operations of mutators: leases and invalidation. Repositories are named as in `LeaseSubjects`. */
export class LeaseService {
  readonly #options: LeaseServiceOptions

  constructor(options: LeaseServiceOptions) {
    this.#options = options
  }

  /**
   * Opens a lease: from now on the repository may be changing. Every answer that begins after this has returned, or has
   * resolved, respects it. Synchronous, unless the repository's filesystem may hang.
   * @throws RepositoryNotFound, TooManyLeases, FilesystemUnanswered, or rejects with them
   */
  open(name: string, ttlMs: number, reason?: string): LeaseView | Promise<LeaseView> {
    return this.#with(name, (subject) => this.#view(this.#options.leases.open(subject, ttlMs, reason)))
  }

  /**
   * Renews a lease for `ttlMs` from now on; left out: the lease's current time limit.
   * @throws UnknownLease
   */
  renew(id: string, ttlMs?: number): LeaseView {
    const lease = this.#options.leases.renew(id, ttlMs)
    if (!lease) throw new UnknownLease()
    return this.#view(lease)
  }

  /**
   * Ends a lease. Every request that arrives after this has returned sees the new state.
   * @param changed false: no change was visible at any time while the lease was open
   * @throws UnknownLease
   */
  end(id: string, changed: boolean): void {
    if (!this.#options.leases.end(id, changed ? 'changed' : 'unchanged')) throw new UnknownLease()
  }

  list(): LeaseView[] {
    return this.#options.leases.list().map((lease) => this.#view(lease))
  }

  /**
   * Invalidates a repository: nothing that was known of its refs is used again.
   * @throws RepositoryNotFound, FilesystemUnanswered, or rejects with them
   */
  invalidate(name: string): void | Promise<void> {
    return this.#with(name, (subject) => this.#options.leases.invalidate(subject))
  }

  #with<R>(name: string, act: (subject: string) => R): R | Promise<R> {
    const found = this.#options.subjects.find(name)
    const use = (subject: string | undefined): R => {
      if (subject === undefined) throw new RepositoryNotFound(name)
      return act(subject)
    }
    return found instanceof Promise ? found.then(use) : use(found)
  }

  #view(lease: Lease): LeaseView {
    return { ...lease, repository: this.#options.subjects.nameOf(lease.repository) }
  }
}
