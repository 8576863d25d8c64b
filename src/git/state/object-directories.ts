import type { PathGuard } from '../filesystem/path-guard.js'
import { pathWithin } from '../filesystem/path-within.js'
import { realPath } from '../filesystem/real-path.js'
import { isRepositoryPath } from './repository-path.js'
import type { Repository } from './repository.js'

/**
 * Where a Git process finds objects instead of `objects/` (git(1), GIT_OBJECT_DIRECTORY): paths free of links, relative
 * to the repository's common directory.
 */
export interface ObjectDirectories {
  /** undefined: `objects/`. */
  readonly main: string | undefined
  readonly alternates: readonly string[]
}

/** Most alternates of one request. */
const alternatesMax = 32

/**
 * Resolves directories that a client names, relative to the repository, such as a push's quarantine. An empty `main`
 * means none. Each must exist and lie inside the repository, links followed (R8).
 * @returns the directories, or why one is refused, as a text for the client
 * @throws RemotePath
 */
export function findObjectDirectories(
  { commonDir }: Repository,
  main: string,
  alternates: readonly string[],
  guard?: PathGuard,
): ObjectDirectories | { readonly refused: string } {
  if (alternates.length > alternatesMax) return { refused: `there are more than ${alternatesMax} alternates` }
  const found: string[] = []
  for (const name of [...(main === '' ? [] : [main]), ...alternates]) {
    const path = isRepositoryPath(name) ? resolveBelow(commonDir, name, guard) : undefined
    if (path === undefined) {
      return { refused: `object directory ${JSON.stringify(name.slice(0, 200))} is not in the repository` }
    }
    found.push(path)
  }
  return main === '' ? { main: undefined, alternates: found } : { main: found[0], alternates: found.slice(1) }
}

/** undefined: it does not exist, or is not below the directory. */
function resolveBelow(directory: string, name: string, guard: PathGuard | undefined): string | undefined {
  guard?.check(`${directory}/${name}`)
  try {
    return pathWithin(directory, realPath(`${directory}/${name}`)) || undefined
  } catch {
    return undefined
  }
}
