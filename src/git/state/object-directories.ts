import type { PathGuard } from '../filesystem/path-guard.js'
import { realPath } from '../filesystem/real-path.js'
import type { Repository } from './repository.js'
import { isRepositoryPath } from './repository.js'

/**
 * Where a process finds objects instead of `objects/` (git(1), GIT_OBJECT_DIRECTORY); free of links, and relative to the
 * repository's common directory.
 */
export interface ObjectDirectories {
  /** undefined: `objects/`. */
  readonly main: string | undefined
  readonly alternates: readonly string[]
}

/** Alternates of one request. */
const alternatesMax = 32

/**
 * Directories that a client names, relative to the repository, such as a push's quarantine. An empty `main` means none.
 * They must be there, and in the repository, by whatever link (R8).
 * @returns why one is refused, for the client to read
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
    const path = isRepositoryPath(name) ? below(commonDir, name, guard) : undefined
    if (path === undefined) {
      return { refused: `object directory ${JSON.stringify(name.slice(0, 200))} is not in the repository` }
    }
    found.push(path)
  }
  return main === '' ? { main: undefined, alternates: found } : { main: found[0], alternates: found.slice(1) }
}

function below(directory: string, name: string, guard: PathGuard | undefined): string | undefined {
  guard?.check(`${directory}/${name}`)
  try {
    const path = realPath(`${directory}/${name}`)
    return path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : undefined
  } catch {
    return undefined
  }
}

/** @param commonDir the repository's common directory, as the process reaches it */
export function objectEnvironment(
  commonDir: string,
  { main, alternates }: ObjectDirectories,
): NodeJS.ProcessEnv {
  const inside = (name: string): string => `${commonDir}/${name}`
  const quoted = alternates.map(inside).map(quote)
  return {
    GIT_OBJECT_DIRECTORY: main === undefined ? undefined : inside(main),
    ...(quoted.length > 0 ? { GIT_ALTERNATE_OBJECT_DIRECTORIES: quoted.join(':') } : {}),
  }
}

/** A path may hold the colon that separates them: quoted as in C, it is one (git(1)). */
const quote = (path: string): string => `"${path.replace(/["\\]/g, '\\$&')}"`
