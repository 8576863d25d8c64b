import { isAbsolute } from 'node:path'
import type { Lease } from '../freshness/lease.js'
import { TooManyLeases, type Leases } from '../freshness/leases.js'
import type { Modes } from '../freshness/disk/modes.js'
import type { Observer } from '../freshness/observer.js'
import { nameBelow, type RepositoriesRoot } from '../git/state/repositories-root.js'
import { isRepositoryPath, type Repository } from '../git/state/repository.js'
import { RepositoryNotFound, UnknownLease } from './errors.js'
import { heldLeaseMs, renewalIntervalMs } from './lease-renewal.js'

export interface LeaseServiceOptions {
  readonly root: RepositoriesRoot
  readonly leases: Leases
  readonly observer: Observer
  readonly modes: Modes
}

/** A lease as its holder sees it. */
export interface LeaseView extends Omit<Lease, 'repository'> {
  /** Relative to the root. */
  readonly repository: string
}

/** What mutators may say of a repository. Names are relative to the root, as in a URL, or absolute paths below it. */
export class LeaseService {
  readonly #options: LeaseServiceOptions

  constructor(options: LeaseServiceOptions) {
    this.#options = options
  }

  /**
   * From now on the repository may be changing. Every answer that begins after this has returned, or resolved, honours
   * it. At once, unless the repository's filesystem may hang.
   * @throws RepositoryNotFound, TooManyLeases, FilesystemUnanswered, or rejects with them
   */
  open(name: string, ttlMs: number, reason?: string): LeaseView | Promise<LeaseView> {
    return after(this.#find(name), ({ commonDir }) =>
      this.#view(this.#options.leases.open(commonDir, ttlMs, reason)),
    )
  }

  /**
   * Lets a lease last `ttlMs` from now on; left out: for as long again as it was given first.
   * @throws UnknownLease
   */
  renew(id: string, ttlMs?: number): LeaseView {
    const lease = this.#options.leases.renew(id, ttlMs)
    if (!lease) throw new UnknownLease()
    return this.#view(lease)
  }

  /**
   * Ends a lease. Every request that arrives after this has returned sees the new state. `changed` false promises that
   * no change was to be seen at any time.
   * @throws UnknownLease
   */
  end(id: string, changed: boolean): void {
    if (!this.#options.leases.end(id, changed ? 'changed' : 'unchanged')) throw new UnknownLease()
  }

  list(): LeaseView[] {
    return this.#options.leases.list().map((lease) => this.#view(lease))
  }

  /**
   * Nothing that was known of the repository's refs is used again.
   * @throws RepositoryNotFound, FilesystemUnanswered, or rejects with them
   */
  invalidate(name: string): void | Promise<void> {
    return after(this.#find(name), ({ commonDir }) => this.#options.leases.invalidate(commonDir))
  }

  /**
   * A lease that lasts until the returned function is called, or this process dies. If there are too many, the change
   * goes on without, and is told at its end. Where the disk is looked at, that shows whether anything has changed, and
   * what was filled meanwhile (by those whom a hook has called, say) is not filled again.
   */
  hold(repository: Repository, reason: string): () => void {
    const { leases, modes } = this.#options
    const { commonDir } = repository
    try {
      const { id } = leases.open(commonDir, heldLeaseMs, reason)
      const renewal = setInterval(() => leases.renew(id), renewalIntervalMs(heldLeaseMs)).unref()
      return () => {
        clearInterval(renewal)
        const end = modes.of(repository).mode === 'lease' ? 'changed' : 'unchanged'
        // A process that stood still may have slept past the time limit: then it has ended with a change.
        if (!leases.end(id, end)) leases.invalidate(commonDir)
      }
    } catch (error) {
      if (!(error instanceof TooManyLeases)) throw error
      return () => leases.invalidate(commonDir)
    }
  }

  #find(name: string): Repository | Promise<Repository> {
    const { observer } = this.#options
    const path = isAbsolute(name) ? observer.disks.relative(name) : name
    const found = after(path, (path) => {
      const mayBe = path !== undefined && (path === '' || isRepositoryPath(path))
      return mayBe ? observer.find(path) : undefined
    })
    return after(found, (repository) => {
      if (!repository) throw new RepositoryNotFound(name)
      return repository
    })
  }

  #view(lease: Lease): LeaseView {
    // The root may have moved since; then the whole path tells more.
    const name = nameBelow(this.#options.root.latest ?? '', lease.repository)
    return { ...lease, repository: name ?? lease.repository }
  }
}

/** Goes on with a value at once if it is there, and otherwise when it is. */
function after<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
