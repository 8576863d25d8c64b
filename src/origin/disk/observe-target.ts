import type { Observation, Observer } from './observation/observer.js'
import { identityOf, type Repository } from '../../git/state/repository.js'
import { RepositoryExchanged } from '../../git/state/reopen-repository.js'
import { RepositoryNotFound } from '../faults/errors.js'
import type { Target } from '../target.js'

/** A repository as access rules name it. */
export interface Located {
  /** Paths below the root: its own, whatever name it was asked for by, and those that its links lead to. */
  readonly names: readonly string[]
  readonly identity: string
}

/** Returns the repository that a path means now; undefined: there is none. @throws FilesystemUnanswered, or rejects with it */
export function locate(observer: Observer, path: string): Located | undefined | Promise<Located | undefined> {
  const repository = observer.find(path)
  return repository instanceof Promise ? repository.then(toLocated) : toLocated(repository)
}

const toLocated = (repository: Repository | undefined): Located | undefined =>
  repository && {
    names: [repository.commonName, ...repository.linkedNames].map(withoutGitDirectory),
    identity: identityOf(repository),
  }

/** A work tree is named in rules without its Git directory. */
const withoutGitDirectory = (path: string): string => path.replace(/(^|\/)\.git$/, '')

/**
 * Observes the repository of a request.
 * @throws RepositoryNotFound, FilesystemUnanswered, or RepositoryExchanged if access was checked for another one
 */
export const observeTarget = (observer: Observer, target: Target): Promise<Observation> =>
  observer.observe(target.path).then((state) => checkedTarget(target, state))

/** Returns what was observed of a request's repository. @throws RepositoryNotFound, RepositoryExchanged */
export function checkedTarget<T extends { readonly repository: Repository }>(
  { path, identity }: Target,
  state: T | undefined,
): T {
  if (!state) throw new RepositoryNotFound(path)
  if (identity !== undefined && identity !== identityOf(state.repository)) throw new RepositoryExchanged()
  return state
}
