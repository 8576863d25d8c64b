import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Tokens } from '../access/tokens.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import { audit } from './audit.js'
import type { Endpoint, Reply } from './endpoint.js'
import { RequestBodies } from './bodies.js'
import { Hosts } from './hosts.js'
import { isPage, sendPage } from './page/page.js'
import { openApi } from './openapi.js'
import { bodiesMax, route, sendProblem } from './router.js'

export interface AdminServerOptions {
  readonly metrics: Metrics
  /** Resolves with the text of a scrape; that of `metrics` if left out. */
  readonly scrape?: (() => Promise<string>) | undefined
  readonly log: Log
  /** Returns why load balancers should send no requests; undefined: they should. */
  readonly notReady: () => string | undefined | Promise<string | undefined>
  /** The operations of the API. */
  readonly endpoints: readonly Endpoint[]
  readonly version: string
  /** Tokens that are accepted; undefined: none is needed. */
  readonly tokens?: (() => Tokens) | undefined
  /** Host names accepted on loopback addresses besides `localhost`. */
  readonly hosts?: readonly string[] | undefined
}

/** Milliseconds in which a request must be complete, and between two checks for overdue requests. */
const requestMs = 60_000
const lateCheckMs = 5000

/** Creates the server of the admin API: metrics, health checks, leases, webhooks. */
export function createAdminServer(options: AdminServerOptions): Server {
  let made: object | undefined
  const document = (): object => (made ??= openApi(options.endpoints, options.version))
  const { metrics, log } = options
  const bodies = new RequestBodies(bodiesMax, () => metrics.adminRefused.inc({ reason: 'bodies' }))
  const hosts = new Hosts(options.hosts ?? [])
  const limits = { requestTimeout: requestMs, connectionsCheckingInterval: lateCheckMs }
  return createServer(limits, (request, response) => {
    // Without a listener, a connection reset would end the program.
    request.on('error', () => {})
    const rejection = hosts.rejection(request)
    if (rejection !== undefined) {
      metrics.adminRefused.inc({ reason: 'host' })
      sendProblem(response, 403, rejection)
      return
    }
    // Browsers send Origin with all but simple GET requests, and with those for modules, of which the page is made.
    if (request.headers.origin !== undefined && !isPage(pathOf(request)))
      return sendProblem(response, 403, 'requests of web pages are not accepted')
    let reply: Reply | undefined
    const replied = (given: Reply): void => void (reply = given)
    const answered = answer(options, document, bodies, request, response, replied).catch((err: unknown) => {
      log.error({ err, method: request.method, url: pathOf(request) }, 'an admin request failed')
      if (!response.headersSent) sendProblem(response, 500, 'internal error; see the log of refstream')
      else response.destroy()
    })
    // What was changed is in the audit trail also if its client has left without the answer.
    void answered.then(() => audit(log, request, response, options.tokens?.(), reply))
  })
}

async function answer(
  { metrics, scrape, notReady, endpoints, tokens }: AdminServerOptions,
  document: () => object,
  bodies: RequestBodies,
  request: IncomingMessage,
  response: ServerResponse,
  replied: (reply: Reply) => void,
): Promise<void> {
  if (isCrossSite(request))
    return sendProblem(response, 403, 'requests of web pages of other sites are not accepted')
  const path = pathOf(request)
  if (tokens && !isPublic(path) && !tokens().matchAnyOf(request.headers.authorization)) {
    response.setHeader('WWW-Authenticate', 'Bearer realm="refstream admin"')
    return sendProblem(response, 401, 'a token of admin-token-file is required: Authorization: Bearer TOKEN')
  }
  if (await route(endpoints, request, response, bodies, replied)) return
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    text(response, 405, 'use GET')
  } else if (isPage(path)) sendPage(path, tokens !== undefined, response)
  else if (path === '/healthz') text(response, 200, 'ok')
  else if (path === '/readyz') {
    const reason = await notReady()
    text(response, reason === undefined ? 200 : 503, reason ?? 'ready')
  } else if (path === '/metrics') {
    const body = await (scrape ? scrape() : metrics.registry.metrics())
    response.writeHead(200, { 'Content-Type': metrics.registry.contentType })
    response.end(body)
  } else if (path === '/openapi.json') {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(document()))
  } else
    text(
      response,
      404,
      'not found; see /, /metrics, /healthz, /readyz, and the API described by /openapi.json',
    )
}

/**
 * A page of another site can have a browser send simple GET requests too, which name no Origin: they could take the places of
 * listeners. Browsers say where requests come from (Fetch Metadata); a link that somebody follows is no such request.
 */
function isCrossSite({ headers }: IncomingMessage): boolean {
  const { 'sec-fetch-site': site, 'sec-fetch-mode': mode } = headers
  return mode !== 'navigate' && (site === 'cross-site' || site === 'same-site')
}

/** Needs no token: health checks and the page, which reveal little, and webhooks, which are signed. */
const isPublic = (path: string): boolean =>
  isPage(path) || path === '/healthz' || path === '/readyz' || path.startsWith('/v1/webhooks/')

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0] ?? ''

function text(response: ServerResponse, status: number, line: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
  response.end(`${line}\n`)
}
