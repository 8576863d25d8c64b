import type { Exchange } from './exchange.js'
import { dropBody } from './pass-through.js'
import { noCacheHeaders, sendError } from './responses.js'
import { originForm } from './route.js'

export interface LfsOptions {
  /** The URL of the server that has LFS objects, without a slash at its end; undefined: there is none. */
  readonly lfsRedirect?: string | undefined
  /** Is another server behind, which may serve more than Git's protocol has, LFS among it? */
  readonly anyTarget: boolean
}

/** Every method of the API is below this path of a repository (Git LFS, docs/api/server-discovery.md). */
const lfsPath = /^\/[^?]+?\/info\/lfs(?:\/|\?|$)/

const lfsMark = '/info/lfs'

/** What LFS clients read an error from (Git LFS, docs/api/batch.md, "Response Errors"). */
const lfsType = 'application/vnd.git-lfs+json'
const notServed = {
  message:
    'this server has no LFS objects; set lfs.url to the server that has them, or ask its operator for --lfs-redirect',
  documentation_url: 'https://github.com/git-lfs/git-lfs/blob/main/docs/api/server-discovery.md',
}

/**
 * Answers a request for LFS, unless another server behind does. The answer depends on no repository and no credentials,
 * so neither is looked at: a redirect to the server that has LFS objects, which checks access itself, or an error that LFS
 * clients can show.
 * @returns whether the request was one for LFS, and has been answered
 */
export function takeLfs({ lfsRedirect, anyTarget }: LfsOptions, exchange: Exchange): boolean {
  if (lfsRedirect === undefined && anyTarget) return false
  const { request, response } = exchange
  const target = originForm(request.url ?? '')
  // Nearly no request is: a search for a text is quicker than the expression.
  if (!target.includes(lfsMark) || !lfsPath.test(target)) return false
  exchange.kind = 'pass'
  const closes = exchange.awaitsContinue
  if (lfsRedirect === undefined) {
    exchange.outcome = 'not_found'
    const body = Buffer.from(`${JSON.stringify(notServed)}\n`)
    sendError(response, { status: 404, message: '', headers: ['Content-Type', lfsType], body }, closes)
  } else {
    exchange.outcome = 'redirected'
    // 307 keeps the method and the body (RFC 9110, section 15.4.8), and is not remembered by clients.
    response.writeHead(307, [
      ...noCacheHeaders,
      ...['Location', lfsRedirect + target.replace(/[^\x21-\x7e]+/g, encodeURIComponent)],
      ...(closes ? ['Connection', 'close'] : []),
      ...['Content-Length', '0'],
    ])
    response.end()
  }
  dropBody(exchange)
  return true
}
