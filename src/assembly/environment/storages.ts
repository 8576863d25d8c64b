import { resolve } from 'node:path'
import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'

/** Paths relative to the root by Gitaly's storage names; the root itself is an empty path. */
export type Storages = ReadonlyMap<string, string>

/**
 * Finds the directories of Gitaly's storages.
 * @param relative see `RepositoriesRoot.relative`
 * @throws ConfigError if a storage is not a directory at or below the root
 */
export async function findStorages(
  root: string,
  storages: Settings['gitalyStorages'],
  relative: (path: string) => string | undefined | Promise<string | undefined>,
): Promise<Storages> {
  const found = new Map<string, string>()
  for (const { name, directory } of storages) {
    const path = await relative(resolve(root, directory))
    if (path === undefined) {
      throw new ConfigError(
        `--gitaly-storages: ${JSON.stringify(directory)} is not a directory below the root; give one, or the root`,
      )
    }
    found.set(name, path)
  }
  return found
}
