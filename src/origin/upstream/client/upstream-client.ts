import type { Readable } from 'node:stream'
import type { Tracing } from '../../../telemetry/tracing/tracing.js'
import { AddressRules, type Resolve } from './address-rules.js'
import { Dispatchers, type DispatcherOptions } from './dispatchers.js'
import { RedirectElsewhere, RedirectRefused, UpstreamUnavailable } from './errors.js'
import type { ExchangeResponse } from './exchange.js'
import { endToEnd, requestHeaders, valuesOf } from './headers.js'
import { redirectStatuses, Targets, type Target } from './targets.js'
import { tracedRequest } from './traced-request.js'
import { UpstreamHost, type UpstreamHostOptions } from './upstream-host.js'
import type { UpstreamRequest, UpstreamResponse } from './upstream-request.js'

export {
  AddressDenied,
  InvalidUpstreamPath,
  RedirectElsewhere,
  RedirectRefused,
  UpstreamUnavailable,
} from './errors.js'
export type { UpstreamClientEvents } from './upstream-host.js'
export type { UpstreamRequest, UpstreamResponse } from './upstream-request.js'

export interface UpstreamClientOptions extends UpstreamHostOptions, DispatcherOptions {
  /** Scheme, host, port and base path of all requests. */
  readonly url: string
  /** Hosts to which info/refs may be redirected, `HOST` or `HOST:PORT`; the URL's own origin always is one. */
  readonly redirectHosts?: readonly string[] | undefined
  /**
   * Addresses to which no connection is made: `loopback`, `link-local`, `private`, addresses or networks. Names that a
   * proxy resolves are not checked, nor is the proxy.
   */
  readonly deny?: readonly string[] | undefined
  /** `git/<version> refstream/<version>`. */
  readonly userAgent: string
  readonly resolve?: Resolve | undefined
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
}

/** Most redirects that are followed in a row. */
const redirectsMax = 5
/** Most bytes of a redirect's body that are read, so that its connection can be used again. */
const dropMaxBytes = 64 * 1024

/**
 * The HTTP client of one upstream (R10). Scheme, host, port and base path come from the configuration only.
 *
 * Each host (the upstream's, and those to which it may redirect) has a number of permits, one for each connection, and a
 * circuit breaker. A request waits for a permit as a Git process does, see `ProcessLimiter`, and holds it until its
 * connection is free. What is sent is sent once, except that a short request is sent again if the idle connection that
 * it had was closed before a byte of the response had arrived.
 */
export class UpstreamClient {
  readonly #options: UpstreamClientOptions
  readonly #targets: Targets
  readonly #dispatchers: Dispatchers
  readonly #hosts = new Map<string, UpstreamHost>()
  #isClosed = false

  /**
   * @throws TypeError if the URL cannot be an upstream's; RangeError if there are fewer than 3 connections, or the deny
   * list is not valid; AddressDenied if the URL has an address that is denied
   */
  constructor(options: UpstreamClientOptions) {
    const { url, redirectHosts = [], deny = [], events } = options
    const rules = new AddressRules(deny)
    this.#options = options
    this.#targets = new Targets(url, redirectHosts, rules)
    this.#dispatchers = new Dispatchers(options, rules, (open) => events?.connectionsChanged?.(open))
    this.#host(new URL(url))
  }

  /**
   * Sends a request, and resolves when the head of the response has arrived.
   * @throws UpstreamUnavailable; Overloaded if too many requests wait for a connection; InvalidUpstreamPath;
   * RedirectRefused; the reason of the signal if it aborts; the error of the request's body
   */
  async request(request: UpstreamRequest): Promise<UpstreamResponse> {
    let target = this.#targets.of(request.path)
    const tail = request.followsRedirects ? /\/info\/refs(?:\?.*)?$/.exec(target.path)?.[0] : undefined
    // A stream that fails while it waits must not be an uncaught error.
    if (request.body && !Buffer.isBuffer(request.body)) request.body.on('error', () => {})
    let followed = 0
    for (;;) {
      const response = await this.#send(request, target, followed > 0)
      const [location] = valuesOf(response.headers, 'location')
      const isRedirect = redirectStatuses.has(response.status) && location !== undefined
      if (tail === undefined || !isRedirect) {
        if (followed > 0) this.#targets.remember(target.url, tail!)
        return responseOf(response, followed > 0 ? target.url.href : undefined)
      }
      drop(response.body)
      if (followed++ === redirectsMax)
        throw new RedirectRefused(
          response.status,
          `${target.url.host} redirects more than ${redirectsMax} times`,
        )
      const next = this.#targets.redirect(response.status, location, target.url, tail)
      if (request.mayFollow?.(next.url, target.url) === false)
        throw new RedirectElsewhere(response.status, next.url, target.url)
      target = next
    }
  }

  /** Ends all connections at once; requests in progress fail, and later ones too. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#dispatchers.close()
  }

  #send(request: UpstreamRequest, target: Target, isFollowed: boolean): Promise<ExchangeResponse> {
    const { url, path } = target
    if (this.#isClosed) throw new UpstreamUnavailable(`${url.host}: this process is stopping`)
    const { method, headers, body, class: requestClass, group, signal } = request
    const isOrigin = url.origin === this.#targets.origin
    const { tracing, userAgent } = this.#options
    const sent = {
      ...{ method, body, class: requestClass, group, signal },
      admitted: request.admitted || isFollowed,
      headers: requestHeaders(headers, userAgent, isOrigin, Buffer.isBuffer(body)),
      dispatcher: this.#dispatchers.for(url.protocol),
      origin: url.origin,
      path,
    }
    const host = this.#host(url)
    if (!tracing) return host.request(sent)
    return tracedRequest(tracing, method, target, (traced) =>
      host.request({ ...sent, headers: { ...sent.headers, ...traced } }),
    )
  }

  #host(url: URL): UpstreamHost {
    const name = `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`
    let host = this.#hosts.get(name)
    if (!host) {
      host = new UpstreamHost(name, this.#options, () => this.#dispatchers.closeIdle())
      this.#hosts.set(name, host)
    }
    return host
  }
}

function responseOf(response: ExchangeResponse, redirectedTo: string | undefined): UpstreamResponse {
  const { status, statusText, body } = response
  const headers = endToEnd(response.headers)
  return { status, statusText, headers, body, redirectedTo, values: (name) => valuesOf(headers, name) }
}

/** Reads a body that is not used, unless it is long. */
function drop(body: Readable): void {
  let length = 0
  body.on('data', (chunk: Buffer) => {
    if ((length += chunk.length) > dropMaxBytes) body.destroy()
  })
}
