import { readdirSync } from 'node:fs'
import { pathText, systemPath } from '../filesystem/byte-path.js'
import { openRepository } from './open-repository.js'
import type { RepositoriesRoot } from './repositories-root.js'
import type { RepositoryRefusal } from './repository.js'
import type { StatSnapshot } from './stat-snapshot.js'

/** Something below the root that is a repository, or would be one if it were served. */
export interface FoundRepository {
  /** Relative to the root. */
  readonly path: string
  /** Why it is not served. */
  readonly refused: RepositoryRefusal | undefined
}

/** An entry of a directory that may be a repository, or lead to one. */
interface Candidate {
  /** Relative to the root. */
  readonly path: string
  readonly isLink: boolean
}

/** What a directory is: a repository, or something that may contain some. */
export interface VisitedDirectory {
  readonly found?: FoundRepository
  readonly below: readonly Candidate[]
}

/**
 * Tells what is at a path: one step of a search for repositories. Directories inside of repositories and the targets of
 * links are not searched. @throws RemotePath if the snapshot has a guard
 */
export function visitDirectory(
  snapshot: StatSnapshot,
  root: RepositoriesRoot,
  path: string,
  isLink: boolean,
): VisitedDirectory {
  let refused: RepositoryRefusal | undefined
  // `x` means x.git too: only what lies at the path itself counts here.
  const opened = openRepository(snapshot, root, path, (why, suffix) => {
    if (isLink ? suffix === '' : !suffix.endsWith('.git') || suffix === '/.git') refused = why
  })
  opened?.close()
  // A link to a repository below the root is another name for one that is found by its own name.
  if (isLink) return { ...(refused ? { found: { path, refused } } : {}), below: [] }
  const here = opened && [path, path === '' ? '.git' : `${path}/.git`].includes(opened.repository.gitName)
  if (here || refused) return { found: { path, refused }, below: [] }
  const directory = path === '' ? root.path : `${root.path}/${path}`
  snapshot.guard?.check(directory)
  const below = listCandidates(directory).map(({ name, isLink }) => ({
    path: path === '' ? name : `${path}/${name}`,
    isLink,
  }))
  return { below }
}

/** The directories and links in a directory, by name. */
function listCandidates(directory: string): { readonly name: string; readonly isLink: boolean }[] {
  try {
    return readdirSync(systemPath(directory), { withFileTypes: true, encoding: 'buffer' })
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map((entry) => ({ name: pathText(entry.name), isLink: entry.isSymbolicLink() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return []
  }
}
