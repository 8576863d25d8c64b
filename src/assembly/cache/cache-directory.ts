import { defaultCacheDir } from '../../config/values/cache-dir.js'
import type { Settings } from '../../config/options/options.js'

/**
 * Returns the cache directory.
 * @param root where the root is, free of links; undefined: there is none
 */
export const cacheDirectoryOf = (
  { cacheDir, upstream = [] }: Pick<Settings, 'cacheDir' | 'upstream'>,
  root: string | undefined,
  environment: NodeJS.ProcessEnv,
): string => cacheDir ?? defaultCacheDir(root ?? upstream, environment)
