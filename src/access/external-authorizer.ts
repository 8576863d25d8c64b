import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { timerMaxMs } from '../limits/clock.js'
import type { Tracing } from '../telemetry/tracing/tracing.js'
import type { AccessRequest } from './access-request.js'
import { AuthorizerUnavailable } from './errors.js'

export interface ExternalAuthorizerOptions {
  readonly url: string
  readonly timeoutMs: number
  /** Request headers that are forwarded; names in lower case. */
  readonly headers: readonly string[]
  /** Response header that holds the user's name; in lower case. */
  readonly userHeader: string
  readonly answered?: (result: 'allowed' | 'denied' | 'failed') => void
  /** Called with the reason if there was no usable response. */
  readonly failed?: (reason: string) => void
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
}

export type AuthorizerDecision =
  | { readonly outcome: 'allowed'; readonly user: string | undefined }
  | { readonly outcome: 'unauthenticated' | 'forbidden'; readonly challenges: readonly string[] }

/** Most connections to the service. Further requests wait for one, within their time limit. */
const socketsMax = 64

/** Headers that refstream sets itself; the client's are not forwarded. */
const ownHeaders = new Set([
  ...['x-refstream-repository', 'x-refstream-service', 'x-refstream-transport', 'x-refstream-client'],
  ...['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-method', 'x-forwarded-uri'],
  ...['x-original-method', 'x-original-uri', 'x-original-url', 'x-real-ip'],
])

/** Redirects, which can only lead to a login page: a browser would follow, Git needs a 401 to ask for a password. */
const loginRedirects = new Set([302, 303, 307])

/** Client of the operator's authorization service: a GET without a body per decision, which the response's status gives. */
export class ExternalAuthorizer {
  readonly #options: ExternalAuthorizerOptions
  readonly #agent: HttpAgent
  readonly #request: typeof requestHttp

  constructor(options: ExternalAuthorizerOptions) {
    this.#options = options
    const tls = options.url.startsWith('https:')
    const agent = { keepAlive: true, maxSockets: socketsMax }
    this.#agent = tls ? new HttpsAgent(agent) : new HttpAgent(agent)
    this.#request = tls ? requestHttps : requestHttp
  }

  /**
   * Returns the headers of the authorization request, apart from those with the method and the URI. The decision may depend
   * on them, so they are the key of its cache.
   */
  requestHeaders(request: AccessRequest): Record<string, string | string[]> {
    const { remoteAddress, via, knownAs } = request
    const forwarded: Record<string, string | string[]> = {}
    for (const name of this.#options.headers) {
      const value = request.headers[name]
      if (value !== undefined && !ownHeaders.has(name)) forwarded[name] = value
    }
    const route = via?.route.join(', ') ?? remoteAddress
    return {
      ...forwarded,
      'x-refstream-repository': encodePath(request.repository),
      'x-refstream-service': request.service,
      'x-refstream-transport': request.transport,
      ...(route ? { 'x-forwarded-for': route } : {}),
      ...(remoteAddress === undefined ? {} : { 'x-real-ip': remoteAddress }),
      ...(via ? { 'x-forwarded-proto': via.scheme } : {}),
      ...(via?.host === undefined ? {} : { 'x-forwarded-host': via.host }),
      ...(knownAs === undefined ? {} : { 'x-refstream-client': encodeURI(knownAs) }),
    }
  }

  /** @throws AuthorizerUnavailable if there is no response in time, or one that neither allows nor denies */
  async decide(request: AccessRequest): Promise<AuthorizerDecision> {
    try {
      const { tracing } = this.#options
      const decision = await (tracing
        ? tracing.client('GET authorizer', {}, async (traced, span) => {
            const made = await this.#decide(request, traced)
            span?.set({ 'refstream.authorizer.outcome': made.outcome })
            span?.end()
            return made
          })
        : this.#decide(request))
      this.#options.answered?.(decision.outcome === 'allowed' ? 'allowed' : 'denied')
      return decision
    } catch (error) {
      this.#options.answered?.('failed')
      const failure =
        error instanceof AuthorizerUnavailable ? error : new AuthorizerUnavailable(reasonOf(error))
      this.#options.failed?.(failure.message)
      throw failure
    }
  }

  /** @param traced headers that are no part of what is decided */
  async #decide(
    request: AccessRequest,
    traced: Readonly<Record<string, string>> = {},
  ): Promise<AuthorizerDecision> {
    const { method, uri, via } = request
    // Two families of names: those documented for nginx's auth_request, and those of Traefik's ForwardAuth.
    const headers = {
      ...this.requestHeaders(request),
      ...traced,
      'x-original-method': method,
      'x-original-uri': uri,
      ...(via?.host === undefined ? {} : { 'x-original-url': `${via.scheme}://${via.host}${uri}` }),
      'x-forwarded-method': method,
      'x-forwarded-uri': uri,
    }
    const { timeoutMs, userHeader } = this.#options
    const response = await this.#get(headers, AbortSignal.timeout(Math.min(timeoutMs, timerMaxMs)))
    // The body is not used.
    response.on('error', () => {}).resume()
    const { statusCode: status = 0, headersDistinct } = response
    const challenges = headersDistinct['www-authenticate'] ?? []
    if (status >= 200 && status < 300)
      return { outcome: 'allowed', user: userOf(headersDistinct[userHeader]) }
    if (status === 401 || loginRedirects.has(status)) return { outcome: 'unauthenticated', challenges }
    if (status === 403) return { outcome: 'forbidden', challenges }
    throw new AuthorizerUnavailable(`status ${status}`)
  }

  /** Tries again if the service closed an idle connection just as it was used (RFC 9110, section 9.2.2). */
  #get(headers: Record<string, string | string[]>, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = this.#request(this.#options.url, { agent: this.#agent, headers, signal }, resolve)
      request.on('error', (error: NodeJS.ErrnoException) => {
        const stale = request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(error.code ?? '')
        if (stale) resolve(this.#get(headers, signal))
        else reject(error)
      })
      request.end()
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Percent-encodes a path. Bytes that are not UTF-8 are lone surrogates in it, U+DC80 to U+DCFF (git/filesystem/byte-path.ts). */
const encodePath = (path: string): string =>
  path
    .split(/((?<![\uD800-\uDBFF])[\uDC80-\uDCFF])/)
    .map((part, index) =>
      index % 2 === 0 ? encodeURI(part) : `%${(part.charCodeAt(0) - 0xdc00).toString(16).toUpperCase()}`,
    )
    .join('')

/** Returns a short reason that quotes nothing of the request. */
function reasonOf(error: unknown): string {
  const { name, code } = error as NodeJS.ErrnoException
  return name === 'TimeoutError' || code === 'ABORT_ERR' ? 'no response in time' : (code ?? name)
}

function userOf(values: readonly string[] | undefined): string | undefined {
  // Node decodes header values as Latin-1; the names are UTF-8.
  const name = Buffer.from(values?.[0] ?? '', 'latin1').toString()
  if (name === '') return undefined
  if ((values?.length ?? 0) > 1 || !/^[^\p{Cc}]{1,256}$/u.test(name))
    throw new AuthorizerUnavailable('bad user name')
  return name
}
