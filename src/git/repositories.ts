import { readdirSync } from 'node:fs'
import { pathText, systemPath } from './byte-path.js'
import { Look, type LookMemory } from './look.js'
import type { RepositoriesRoot } from './repositories-root.js'
import { enterRepo, type Refusal } from './repository.js'

/** Something below the root that is a repository, or would be if it were served. */
export interface FoundRepository {
  /** Relative to the root. */
  readonly path: string
  /** Why it is not served. */
  readonly refused: Refusal | undefined
}

/** All repositories below the root. Directories inside of repositories are not searched, nor what links lead to. */
export function* findRepositories(
  root: RepositoriesRoot,
  memory: LookMemory,
  path = '',
): Generator<FoundRepository> {
  let refused: Refusal | undefined
  // `x` means x.git too: only what lies at the path itself counts here.
  const opened = enterRepo(new Look(memory), root, path, (why, suffix) => {
    if (!suffix.endsWith('.git') || suffix === '/.git') refused = why
  })
  opened?.close()
  const here = opened && [path, path === '' ? '.git' : `${path}/.git`].includes(opened.repository.gitName)
  if (here || refused) {
    yield { path, refused }
    return
  }
  for (const { name, isLink } of list(path === '' ? root.path : `${root.path}/${path}`)) {
    const below = path === '' ? name : `${path}/${name}`
    if (!isLink) yield* findRepositories(root, memory, below)
    else yield* refusedLink(root, memory, below)
  }
}

/** A link to a repository below the root is another name for one that is found by its own. */
function* refusedLink(root: RepositoriesRoot, memory: LookMemory, path: string): Generator<FoundRepository> {
  let refused: Refusal | undefined
  enterRepo(new Look(memory), root, path, (why, suffix) => {
    if (suffix === '') refused = why
  })?.close()
  if (refused) yield { path, refused }
}

/** The directories and links in a directory. */
function list(directory: string): { readonly name: string; readonly isLink: boolean }[] {
  try {
    return readdirSync(systemPath(directory), { withFileTypes: true, encoding: 'buffer' })
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map((entry) => ({ name: pathText(entry.name), isLink: entry.isSymbolicLink() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return []
  }
}
