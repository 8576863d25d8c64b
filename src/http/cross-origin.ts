import type { Exchange } from './exchange.js'
import type { HttpResponse } from './message.js'
import { dropBody } from './pass-through.js'
import { HttpError, sendError } from './responses.js'

/** Headers that a page may send: those that describe a request of Git, LFS or an API, and credentials. */
const requestHeaders = [
  ...['Accept', 'Accept-Language', 'Authorization', 'Cache-Control', 'Content-Encoding', 'Content-Type'],
  ...['Git-Protocol', 'If-None-Match', 'Pragma', 'Range', 'User-Agent', 'X-Requested-With'],
].join(', ')

/** Headers of an answer that a page may read, besides those that it always may (Fetch standard, "CORS-safelisted"). */
const exposedHeaders = [
  ...['Accept-Ranges', 'Age', 'Content-Encoding', 'Content-Range', 'ETag', 'LFS-Authenticate', 'Link'],
  ...['Location', 'Retry-After', 'WWW-Authenticate'],
].join(', ')

/** Seconds for which a browser may remember the answer to a preflight; browsers remember none for longer. */
const preflightSeconds = 7200

/**
 * Lets web pages of other origins read answers (CORS, as the Fetch standard has it). Browsers enforce it: a request of another
 * origin is answered as without it, and its page cannot read the answer. Pages of listed origins may send what the browser
 * holds for this host (cookies, logins); those that only `*` allows may send credentials of their own alone.
 */
export class CrossOrigin {
  readonly #origins: ReadonlySet<string>
  readonly #any: boolean
  readonly #methods: string

  /**
   * @param origins as browsers write them, or `*` for any
   * @param methods those of Git's protocol, or also those of another server behind
   */
  constructor(origins: readonly string[], methods: string) {
    this.#any = origins.includes('*')
    this.#origins = new Set(origins.filter((origin) => origin !== '*'))
    this.#methods = methods
  }

  /**
   * Adds headers to the answer of a request, whatever it will be.
   * @returns whether the request was a preflight, which has been answered
   */
  take(exchange: Exchange): boolean {
    const { request, response } = exchange
    const { origin } = request.headers
    const allowed = this.#allow(origin)
    const isPreflight =
      request.method === 'OPTIONS' &&
      origin !== undefined &&
      request.headers['access-control-request-method'] !== undefined
    const added = [...(allowed ?? []), ...(allowed && isPreflight ? this.#permissions() : [])]
    addHeaders(response, added, this.#origins.size > 0)
    if (!isPreflight) return false
    if (allowed) {
      response.writeHead(204, exchange.awaitsContinue ? ['Connection', 'close'] : [])
      response.end()
    } else {
      const refusal = new HttpError(403, 'the origin of this page is not among --cors-origins')
      sendError(response, refusal, exchange.awaitsContinue)
    }
    exchange.outcome = allowed ? 'preflight' : 'forbidden'
    dropBody(exchange)
    return true
  }

  #permissions(): readonly string[] {
    return [
      ...['Access-Control-Allow-Methods', this.#methods, 'Access-Control-Allow-Headers', requestHeaders],
      ...['Access-Control-Max-Age', String(preflightSeconds)],
    ]
  }

  /** @returns undefined: a page of this origin may not read the answer, or the request is not one of a page */
  #allow(origin: string | undefined): readonly string[] | undefined {
    if (origin === undefined) return undefined
    const exposed = ['Access-Control-Expose-Headers', exposedHeaders]
    if (this.#origins.has(origin)) {
      const credentials = ['Access-Control-Allow-Credentials', 'true']
      return ['Access-Control-Allow-Origin', origin, ...credentials, ...exposed]
    }
    return this.#any ? ['Access-Control-Allow-Origin', '*', ...exposed] : undefined
  }
}

/** A status, perhaps its text, and perhaps headers: names and values in turn, as all in this room are. */
type Head = readonly unknown[]

/**
 * Adds headers to what `writeHead` will be called with. Headers by which another server behind allows origins are dropped:
 * two such headers would allow none.
 */
function addHeaders(response: HttpResponse, added: readonly string[], variesByOrigin: boolean): void {
  const writeHead = response.writeHead.bind(response) as unknown as (...head: Head) => HttpResponse
  response.writeHead = (...head: Head): HttpResponse => {
    const given = head.at(-1)
    const hasHeaders = Array.isArray(given)
    const headers = [...ownHeaders(hasHeaders ? (given as string[]) : []), ...added]
    if (variesByOrigin) varyByOrigin(headers)
    return writeHead(...(hasHeaders ? head.slice(0, -1) : head), headers)
  }
}

/** @param headers names and values in turn */
const ownHeaders = (headers: readonly string[]): string[] =>
  headers.filter((_, index) => !/^access-control-/i.test(headers[index - (index % 2)] as string))

function varyByOrigin(headers: string[]): void {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'vary')
  const varies = headers[at + 1]
  if (at < 0 || varies === undefined) headers.push('Vary', 'Origin')
  else if (!/^\s*\*|(?:^|,)\s*origin\s*(?:,|$)/i.test(varies)) headers[at + 1] = `${varies}, Origin`
}
