import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Upstream } from './upstream.js'

/**
 * Returns the default cache directory of a root, or of upstreams without a root: under the user's cache directory (XDG Base
 * Directory Specification), or under the temporary directory for a user without a home. Each origin has its own.
 */
export function defaultCacheDir(
  origin: string | readonly Upstream[],
  environment: NodeJS.ProcessEnv,
): string {
  const { XDG_CACHE_HOME, HOME } = environment
  const digest = createHash('sha256')
    .update(typeof origin === 'string' ? origin : JSON.stringify(origin))
    .digest('hex')
    .slice(0, 16)
  const base = XDG_CACHE_HOME || (HOME && join(HOME, '.cache'))
  return base
    ? join(base, 'refstream', digest)
    : join(tmpdir(), `refstream-${process.getuid?.() ?? 0}`, digest)
}
