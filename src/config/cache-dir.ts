import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Returns the default cache directory of a root: under the user's cache directory (XDG Base Directory Specification), or
 * under the temporary directory for a user without a home. Each root has its own.
 */
export function defaultCacheDir(root: string, environment: NodeJS.ProcessEnv): string {
  const { XDG_CACHE_HOME, HOME } = environment
  const digest = createHash('sha256').update(root).digest('hex').slice(0, 16)
  const base = XDG_CACHE_HOME || (HOME && join(HOME, '.cache'))
  return base
    ? join(base, 'refstream', digest)
    : join(tmpdir(), `refstream-${process.getuid?.() ?? 0}`, digest)
}
