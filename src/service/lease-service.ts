import type { Lease } from '../freshness/leases/lease.js'
import { after } from '../freshness/after.js'
import type { MutatorLeases } from '../freshness/leases/mutator-leases.js'
import { RepositoryNotFound, UnknownLease } from '../origin/faults/errors.js'
import type { LeaseSubjects } from '../origin/lease-subjects.js'

export interface LeaseServiceOptions {
  readonly leases: MutatorLeases
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
   * resolved, respects it. Synchronous, unless the repository's filesystem may hang or other processes must be told.
   * @throws RepositoryNotFound, TooManyLeases, FilesystemUnanswered, FleetUnreachable, or rejects with them
   */
  open(name: string, ttlMs: number, reason?: string): LeaseView | Promise<LeaseView> {
    return this.#with(name, (subject) =>
      after(this.#options.leases.open(subject, ttlMs, reason), (lease) => this.#view(lease)),
    )
  }

  /**
   * Renews a lease for `ttlMs` from now on; left out: the lease's current time limit.
   * @throws UnknownLease, FleetUnreachable, or rejects with them
   */
  renew(id: string, ttlMs?: number): LeaseView | Promise<LeaseView> {
    return after(this.#options.leases.renew(id, ttlMs), (lease) => {
      if (!lease) throw new UnknownLease()
      return this.#view(lease)
    })
  }

  /**
   * Ends a lease. Every request that arrives after this has returned sees the new state.
   * @param changed false: no change was visible at any time while the lease was open
   * @param refs all refs that may have changed, as `changedRefs` returns them; left out: any
   * @throws UnknownLease, or rejects with it
   */
  end(id: string, changed: boolean, refs?: readonly string[]): void | Promise<void> {
    return after(this.#options.leases.end(id, changed ? 'changed' : 'unchanged', refs), (lease) => {
      if (!lease) throw new UnknownLease()
    })
  }

  list(): LeaseView[] | Promise<LeaseView[]> {
    return after(this.#options.leases.list(), (leases) => leases.map((lease) => this.#view(lease)))
  }

  /**
   * Invalidates a repository: nothing that was known of its refs is used again.
   * @throws RepositoryNotFound, FilesystemUnanswered, FleetUnreachable, or rejects with them
   */
  invalidate(name: string): void | Promise<void> {
    return this.#with(name, (subject) => this.#options.leases.invalidate(subject))
  }

  #with<R>(name: string, act: (subject: string) => R | Promise<R>): R | Promise<R> {
    return after(this.#options.subjects.find(name), (subject) => {
      if (subject === undefined) throw new RepositoryNotFound(name)
      return act(subject)
    })
  }

  #view(lease: Lease): LeaseView {
    return { ...lease, repository: this.#options.subjects.nameOf(lease.repository) }
  }
}
