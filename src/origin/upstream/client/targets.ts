import { LRUCache } from 'lru-cache'
import { InvalidUpstreamPath, RedirectRefused } from './errors.js'
import type { AddressRules } from './address-rules.js'

/** Most places that are remembered to which redirects led (LRU). */
const redirectsMax = 10_000
/** Longest path in characters. */
const pathMax = 16_384

/** Statuses of redirects that are followed. */
export const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What is requested. */
export interface Target {
  readonly url: URL
  /** Path and query, exactly as they are sent. */
  readonly path: string
}

/** Which URLs may be requested: those below the configured one, and those to which info/refs was redirected (R10). */
export class Targets {
  /** Scheme, host and port of the configured URL. */
  readonly origin: string
  readonly #base: URL
  /** The path of the configured URL without a slash at its end. */
  readonly #basePath: string
  /** Hosts to which redirects may lead, `HOST` or `HOST:PORT`. */
  readonly #redirectHosts: ReadonlySet<string>
  readonly #rules: AddressRules
  /** URLs of repositories to which redirects led. */
  readonly #redirects = new LRUCache<string, true>({ max: redirectsMax })

  /** @throws TypeError if the URL cannot be an upstream's; AddressDenied */
  constructor(url: string, redirectHosts: readonly string[], rules: AddressRules) {
    this.#base = new URL(url)
    const { protocol, username, password, search, hash, pathname, origin } = this.#base
    if (!/^https?:$/.test(protocol) || username || password || search || hash)
      throw new TypeError(`${url} is no http or https URL without user name, query and fragment`)
    rules.check(this.#base)
    this.origin = origin
    this.#basePath = pathname.replace(/\/+$/, '')
    this.#redirectHosts = new Set(redirectHosts.map((host) => host.toLowerCase()))
    this.#rules = rules
  }

  /**
   * Returns the target for a request's path.
   * @throws InvalidUpstreamPath if it could lead to anything that is not below the configured URL, or below one that a
   * redirect led to
   */
  of(path: string): Target {
    const isAbsolute = /^https?:\/\//.test(path)
    const href = isAbsolute ? path : `${this.origin}${this.#basePath}${path}`
    if (path.length > pathMax || !/^[!-~]+$/.test(path) || /[#\\]/.test(path) || !URL.canParse(href))
      throw new InvalidUpstreamPath('the path is not valid in a request to an upstream')
    const url = new URL(href)
    const target = { url, path: href.slice(url.origin.length) }
    if (!href.startsWith(url.origin) || !isBelow(isAbsolute ? target.path : path))
      throw new InvalidUpstreamPath('the path could lead outside the URL of the upstream')
    if (isAbsolute && !this.#isKnown(target))
      throw new InvalidUpstreamPath(
        'the URL is none to which the upstream has redirected; ask for info/refs first',
      )
    return target
  }

  /**
   * Returns where a redirect of info/refs leads.
   * @param tail the end of the URL that was asked for, from `/info/refs` on
   * @throws RedirectRefused
   */
  redirect(status: number, location: string, from: URL, tail: string): Target {
    const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined
    const refuse = (why: string): never => {
      const place = url ? `${url.origin}${url.pathname}` : 'a place that is no URL'
      throw new RedirectRefused(status, `${from.host} redirects to ${place}, which is not followed: ${why}`)
    }
    if (!url || !/^https?:$/.test(url.protocol)) return refuse('it is no http or https URL')
    if (from.protocol === 'https:' && url.protocol === 'http:') return refuse('https must not lead to http')
    if (url.origin !== this.origin && !this.#allowsHost(url))
      return refuse(`${url.host} is not in upstream-redirect-hosts`)
    url.username = url.password = url.hash = ''
    // As Git does (http.c, update_url_from_redirect): the URL of a fetch could not be derived otherwise.
    if (!url.href.endsWith(tail)) return refuse(`it does not end in ${tail}`)
    try {
      this.#rules.check(url)
    } catch (error) {
      return refuse((error as Error).message)
    }
    return { url, path: url.pathname + url.search }
  }

  /** Remembers where redirects led, so that the same repository may be asked there. */
  remember(url: URL, tail: string): void {
    this.#redirects.set(url.href.slice(0, -tail.length), true)
  }

  #allowsHost({ hostname, protocol, port }: URL): boolean {
    const allowed = this.#redirectHosts
    if (port === '' && allowed.has(hostname)) return true
    return allowed.has(`${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`)
  }

  /** Is this the URL of a service of a repository to which a redirect led? */
  #isKnown({ url, path }: Target): boolean {
    const [, repository] = /^(.*?)\/(?:info\/refs(?:\?.*)?|git-[a-z-]+)$/.exec(path) ?? []
    return repository !== undefined && this.#redirects.get(url.origin + repository) === true
  }
}

/** Does a path stay below the place that it is appended to, for servers too that decode `%2F` or know backslashes? */
function isBelow(path: string): boolean {
  if (!/^\/(?!\/)/.test(path)) return false
  const [beforeQuery = ''] = path.split('?')
  const decoded = beforeQuery.replace(/%(2e|2f|5c)/gi, (_, code: string) =>
    String.fromCharCode(parseInt(code, 16)),
  )
  return !decoded.split(/[/\\]/).some((segment) => segment === '..' || segment === '.')
}
