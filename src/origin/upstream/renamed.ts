import { isSameUpstreamPath } from '../../access/upstream-names.js'
import { UpstreamRefusal } from '../faults/upstream-errors.js'
import type { RedirectElsewhere } from './client/upstream-client.js'
import type { UpstreamRepository } from './upstream.js'

const tail = /\/info\/refs$/

/** Do the URLs of two requests for `info/refs` name one repository, so that what was allowed for one holds for the other? */
export const isSameRepository = ({ pathname: to }: URL, { pathname: from }: URL): boolean =>
  isSameUpstreamPath(to.replace(tail, ''), from.replace(tail, ''))

/**
 * Returns what the client of a repository is told that was renamed: to ask refstream for the other one, for which access is
 * checked then. The other repository must be below the URL of the same upstream; otherwise the redirect is refused.
 */
export function redirection(
  { upstream: { url }, path }: UpstreamRepository,
  error: RedirectElsewhere,
): UpstreamRefusal | RedirectElsewhere {
  const { status, to } = error
  const base = new URL(`${url}/`)
  if (to.origin !== base.origin || !to.pathname.startsWith(base.pathname)) return error
  // Relative, for the case that refstream is itself below a path: from `/a/b.git/info/` up to the root.
  const up = '../'.repeat(path.split('/').length)
  const location = `${up}${to.pathname.slice(base.pathname.length)}${to.search}`
  return new UpstreamRefusal(status, ['Location', location], Buffer.alloc(0))
}
