import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { timerMaxMs } from '../limits/clock.js'
import { AuthorizerUnavailable } from './errors.js'
import type { AccessRequest } from './access-request.js'

export interface ExternalAuthorizerOptions {
  /** Where it is asked. */
  readonly url: string
  readonly timeoutMs: number
  /** Names, in lower case, of the request headers that it is told. */
  readonly headers: readonly string[]
  /** Name, in lower case, of the header of its answer that has the user's name. */
  readonly userHeader: string
  readonly answered?: (result: 'allowed' | 'denied' | 'failed') => void
  /** Told why it could not be used. */
  readonly failed?: (reason: string) => void
}

/** What the authoriser said. */
export type AuthorizerAnswer =
  | { readonly verdict: 'allowed'; readonly user: string | undefined }
  | { readonly verdict: 'unauthenticated' | 'forbidden'; readonly challenges: readonly string[] }

/** Connections to it at once; more questions wait for one, within their time. */
const socketsMax = 64

/** Headers of a question that tell what refstream knows. */
const ownHeaders = new Set([
  ...['x-refstream-repository', 'x-refstream-service', 'x-refstream-transport', 'x-refstream-client'],
  ...['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-method', 'x-forwarded-uri'],
  ...['x-original-method', 'x-original-uri', 'x-original-url', 'x-real-ip'],
])

/** Redirects to another page, which can only be one to log in on: browsers go there, Git asks for a password on a 401. */
const toLogin = new Set([302, 303, 307])

/** A service of the operator's that says who may: asked by a GET without a body, answered by a status. */
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

  /** What it is told of a request, apart from method and URI: requests that differ in this may get different answers. */
  requestHeaders(request: AccessRequest): Record<string, string | string[]> {
    const { remoteAddress, via, knownAs } = request
    const told: Record<string, string | string[]> = {}
    for (const name of this.#options.headers) {
      const value = request.headers[name]
      // What is ours to say is never the client's word.
      if (value !== undefined && !ownHeaders.has(name)) told[name] = value
    }
    const route = via?.route.join(', ') ?? remoteAddress
    return {
      ...told,
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

  /** @throws AuthorizerUnavailable, if there is no answer in time or it says neither yes nor no */
  async ask(request: AccessRequest): Promise<AuthorizerAnswer> {
    try {
      const said = await this.#ask(request)
      this.#options.answered?.(said.verdict === 'allowed' ? 'allowed' : 'denied')
      return said
    } catch (error) {
      this.#options.answered?.('failed')
      const failure =
        error instanceof AuthorizerUnavailable ? error : new AuthorizerUnavailable(reasonOf(error))
      this.#options.failed?.(failure.message)
      throw failure
    }
  }

  async #ask(request: AccessRequest): Promise<AuthorizerAnswer> {
    const { method, uri, via } = request
    // Two families of names: nginx's auth_request, as authorisers document it, and Traefik's ForwardAuth.
    const headers = {
      ...this.requestHeaders(request),
      'x-original-method': method,
      'x-original-uri': uri,
      ...(via?.host === undefined ? {} : { 'x-original-url': `${via.scheme}://${via.host}${uri}` }),
      'x-forwarded-method': method,
      'x-forwarded-uri': uri,
    }
    const { timeoutMs, userHeader } = this.#options
    const response = await this.#get(headers, AbortSignal.timeout(Math.min(timeoutMs, timerMaxMs)))
    // Only the head counts.
    response.on('error', () => {}).resume()
    const { statusCode: status = 0, headersDistinct } = response
    const challenges = headersDistinct['www-authenticate'] ?? []
    if (status >= 200 && status < 300)
      return { verdict: 'allowed', user: userOf(headersDistinct[userHeader]) }
    if (status === 401 || toLogin.has(status)) return { verdict: 'unauthenticated', challenges }
    if (status === 403) return { verdict: 'forbidden', challenges }
    throw new AuthorizerUnavailable(`status ${status}`)
  }

  /** An idle connection may be closed just when it is used; then the next one is (RFC 9110, section 9.2.2). */
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

/** Percent-encodes a path; bytes that are no UTF-8 are lone surrogates in it, U+DC80 to U+DCFF (git/byte-path.ts). */
const encodePath = (path: string): string =>
  path
    .split(/((?<![\uD800-\uDBFF])[\uDC80-\uDCFF])/)
    .map((part, index) =>
      index % 2 === 0 ? encodeURI(part) : `%${(part.charCodeAt(0) - 0xdc00).toString(16).toUpperCase()}`,
    )
    .join('')

/** A short word of the system's: never anything of what was sent. */
function reasonOf(error: unknown): string {
  const { name, code } = error as NodeJS.ErrnoException
  return name === 'TimeoutError' || code === 'ABORT_ERR' ? 'no answer in time' : (code ?? name)
}

function userOf(values: readonly string[] | undefined): string | undefined {
  // Header values arrive as Latin-1; names in UTF-8 get their bytes back.
  const name = Buffer.from(values?.[0] ?? '', 'latin1').toString()
  if (name === '') return undefined
  if ((values?.length ?? 0) > 1 || !/^[^\p{Cc}]{1,256}$/u.test(name))
    throw new AuthorizerUnavailable('bad user name')
  return name
}
