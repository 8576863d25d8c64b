import { resolve } from 'node:path'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'
import type { RepositoriesRoot } from '../git/state/repositories-root.js'

/**
 * Gitaly's storages by name, as paths relative to the root.
 * @throws ConfigError if one is no directory at or below the root
 */
export function findStorages(
  root: Pick<RepositoriesRoot, 'path' | 'relative'>,
  storages: Settings['gitalyStorages'],
): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const { name, directory } of storages) {
    const path = root.relative(resolve(root.path, directory))
    if (path === undefined) {
      throw new ConfigError(
        `--gitaly-storages: ${JSON.stringify(directory)} is not a directory below the root; give one, or the root`,
      )
    }
    found.set(name, path)
  }
  return found
}

/**
 * The same where a directory may be on a mount that may hang.
 * @param relative see `RepositoriesRoot`
 */
export async function locateStorages(
  { path }: Pick<RepositoriesRoot, 'path'>,
  storages: Settings['gitalyStorages'],
  relative: (path: string) => Promise<string | undefined>,
): Promise<ReadonlyMap<string, string>> {
  const known = new Map<string, string | undefined>()
  for (const { directory } of storages) {
    const absolute = resolve(path, directory)
    known.set(absolute, await relative(absolute))
  }
  return findStorages({ path, relative: (absolute) => known.get(absolute) }, storages)
}
