import { realpathSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'

/**
 * Gitaly's storages by name, as paths relative to the root.
 * @throws ConfigError if one is no directory at or below the root
 */
export function findStorages(
  root: string,
  storages: Settings['gitalyStorages'],
): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const { name, directory } of storages) {
    const path = below(root, resolve(root, directory))
    if (path === undefined) {
      throw new ConfigError(
        `--gitaly-storages: ${JSON.stringify(directory)} is not a directory below the root; give one, or the root`,
      )
    }
    found.set(name, path)
  }
  return found
}

function below(root: string, directory: string): string | undefined {
  try {
    const path = relative(root, realpathSync.native(directory))
    return path === '..' || path.startsWith('../') ? undefined : path
  } catch {
    return undefined
  }
}
