import { isAbsolute } from 'node:path'
import { TooManyLeases, type Lease, type Leases } from '../freshness/leases.js'
import type { Modes } from '../freshness/disk/modes.js'
import type { Observer } from '../freshness/observer.js'
import type { RepositoriesRoot } from '../git/state/repositories-root.js'
import { pathWithin } from '../git/filesystem/path-within.js'
import type { Repository } from '../git/state/repository.js'
import { isRepositoryPath } from '../git/state/repository-path.js'
import { RepositoryNotFound } from './errors.js'

/** Milliseconds for which a mutator inside this process holds its lease; it renews at a third. */
const holdMs = 60_000

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

  /** undefined: there is no such lease, perhaps because it has expired. */
  renew(id: string, ttlMs?: number): LeaseView | undefined {
    const lease = this.#options.leases.renew(id, ttlMs)
    return lease && this.#view(lease)
  }

  /**
   * Ends a lease. Every request that arrives after this has returned sees the new state. `changed` false promises that
   * no change was to be seen at any time. @returns false: there is no such lease
   */
  end(id: string, changed: boolean): boolean {
    return this.#options.leases.end(id, changed ? 'changed' : 'unchanged') !== undefined
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
      const { id } = leases.open(commonDir, holdMs, reason)
      const renewal = setInterval(() => leases.renew(id), holdMs / 3).unref()
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
    const name = pathWithin(this.#options.root.latest ?? '', lease.repository)
    return { ...lease, repository: name ?? lease.repository }
  }
}

/** Goes on with a value at once if it is there, and otherwise when it is. */
function after<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
