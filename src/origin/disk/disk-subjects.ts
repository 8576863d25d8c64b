import { isAbsolute } from 'node:path'
import { after } from '../../freshness/after.js'
import { pathWithin } from '../../git/filesystem/path-within.js'
import type { RepositoriesRoot } from '../../git/state/repositories-root.js'
import { isRepositoryPath } from '../../git/state/repository-path.js'
import type { LeaseSubjects } from '../lease-subjects.js'
import type { Observer } from './observation/observer.js'

export interface DiskSubjectsOptions {
  readonly root: RepositoriesRoot
  readonly observer: Observer
}

/** Leases name a repository here by its common directory, which its linked worktrees share. */
export class DiskSubjects implements LeaseSubjects {
  readonly #options: DiskSubjectsOptions

  constructor(options: DiskSubjectsOptions) {
    this.#options = options
  }

  find(name: string): string | undefined | Promise<string | undefined> {
    const { observer } = this.#options
    const path = isAbsolute(name) ? observer.disks.relative(name) : name
    const found = after(path, (path) => {
      const isPath = path !== undefined && (path === '' || isRepositoryPath(path))
      return isPath ? observer.find(path) : undefined
    })
    return after(found, (repository) => repository?.commonDir)
  }

  nameOf(subject: string): string {
    // The root may have moved since; then the absolute path is shown.
    return pathWithin(this.#options.root.latest ?? '', subject) ?? subject
  }
}
