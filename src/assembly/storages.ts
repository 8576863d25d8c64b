import { resolve } from 'node:path'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'
import type { RepositoriesRoot } from '../git/repositories-root.js'

/**
 * Gitaly's storages by name, as paths relative to the root.
 * @throws ConfigError if one is no directory at or below the root
 */
export function findStorages(
  root: RepositoriesRoot,
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
