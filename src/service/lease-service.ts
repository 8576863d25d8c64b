import { isAbsolute } from 'node:path'
import type { Lease } from '../freshness/lease.js'
import type { Leases } from '../freshness/leases.js'
import type { Observer } from '../origin/disk/observation/observer.js'
import type { RepositoriesRoot } from '../git/state/repositories-root.js'
import { pathWithin } from '../git/filesystem/path-within.js'
import type { Repository } from '../git/state/repository.js'
import { isRepositoryPath } from '../git/state/repository-path.js'
import { RepositoryNotFound, UnknownLease } from '../origin/errors.js'

export interface LeaseServiceOptions {
  readonly root: RepositoriesRoot
  readonly leases: Leases
  readonly observer: Observer
}

/** A lease as it is shown to clients. */
export interface LeaseView extends Omit<Lease, 'repository'> {
  /** Relative to the root. */
  readonly repository: string
}

/**
 * Operations of mutators: leases and invalidation. Repositories are named by a path relative to the root, as in a URL, or
 * by an absolute path below it.
 */
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
    return after(this.#find(name), ({ commonDir }) =>
      this.#view(this.#options.leases.open(commonDir, ttlMs, reason)),
    )
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
    return after(this.#find(name), ({ commonDir }) => this.#options.leases.invalidate(commonDir))
  }

  #find(name: string): Repository | Promise<Repository> {
    const { observer } = this.#options
    const path = isAbsolute(name) ? observer.disks.relative(name) : name
    const found = after(path, (path) => {
      const isPath = path !== undefined && (path === '' || isRepositoryPath(path))
      return isPath ? observer.find(path) : undefined
    })
    return after(found, (repository) => {
      if (!repository) throw new RepositoryNotFound(name)
      return repository
    })
  }

  #view(lease: Lease): LeaseView {
    // The root may have moved since; then the absolute path is shown.
    const name = pathWithin(this.#options.root.latest ?? '', lease.repository)
    return { ...lease, repository: name ?? lease.repository }
  }
}

/** Continues with a value at once, or with a promise's value when it resolves. */
function after<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
