import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Tokens } from '../access/tokens.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Endpoint } from './endpoint.js'
import { RequestBodies } from './bodies.js'
import { Hosts } from './hosts.js'
import { openApi } from './openapi.js'
import { bodiesMax, route, sendProblem } from './router.js'

export interface AdminServerOptions {
  readonly metrics: Metrics
  readonly log: Log
  /** Why load balancers should send no requests; undefined: they should. */
  readonly notReady: () => string | undefined | Promise<string | undefined>
  /** The operations of the API. */
  readonly endpoints: readonly Endpoint[]
  readonly version: string
  /** Those who may ask, as of now; undefined: whoever reaches the address. */
  readonly tokens?: (() => Tokens) | undefined
  /** Names, besides `localhost`, by which requests to a loopback address may call it. */
  readonly hosts?: readonly string[] | undefined
}

/** Milliseconds in which a request must come whole, and between two looks for those that are late. */
const requestMs = 60_000
const lateCheckMs = 5000

/** The admin door: what operators, their monitors and mutators ask. */
export function createAdminServer(options: AdminServerOptions): Server {
  const document = openApi(options.endpoints, options.version)
  const { metrics, log } = options
  const bodies = new RequestBodies(bodiesMax, () => metrics.adminRefused.inc({ reason: 'bodies' }))
  const hosts = new Hosts(options.hosts ?? [])
  const limits = { requestTimeout: requestMs, connectionsCheckingInterval: lateCheckMs }
  return createServer(limits, (request, response) => {
    // A connection that breaks is its client's business.
    request.on('error', () => {})
    const refusal = hosts.refusal(request)
    if (refusal !== undefined) {
      metrics.adminRefused.inc({ reason: 'host' })
      sendProblem(response, 403, refusal)
      return
    }
    answer(options, document, bodies, request, response).catch((err: unknown) => {
      log.error({ err, method: request.method, url: request.url }, 'an admin request failed')
      if (!response.headersSent) sendProblem(response, 500, 'internal error; see the log of refstream')
      else response.destroy()
    })
  })
}

async function answer(
  { metrics, notReady, endpoints, tokens }: AdminServerOptions,
  document: object,
  bodies: RequestBodies,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // Browsers say for whom they ask, whenever it is more than a plain GET.
  if (request.headers.origin !== undefined) return sendProblem(response, 403, 'web pages may not ask here')
  const path = request.url?.split('?', 1)[0] ?? ''
  if (tokens && !isOpen(path) && !tokens().matchAnyOf(request.headers.authorization)) {
    response.setHeader('WWW-Authenticate', 'Bearer realm="refstream admin"')
    return sendProblem(response, 401, 'a token of admin-token-file is needed: Authorization: Bearer TOKEN')
  }
  if (await route(endpoints, request, response, bodies)) return
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    text(response, 405, 'use GET')
  } else if (path === '/healthz') text(response, 200, 'ok')
  else if (path === '/readyz') {
    const reason = await notReady()
    text(response, reason === undefined ? 200 : 503, reason ?? 'ready')
  } else if (path === '/metrics') {
    const body = await metrics.registry.metrics()
    response.writeHead(200, { 'Content-Type': metrics.registry.contentType })
    response.end(body)
  } else if (path === '/openapi.json') {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(document))
  } else
    text(response, 404, 'there are /metrics, /healthz, /readyz, and the API that /openapi.json describes')
}

/** Load balancers' probes have no token and learn next to nothing; webhooks are signed. */
const isOpen = (path: string): boolean =>
  path === '/healthz' || path === '/readyz' || path.startsWith('/v1/webhooks/')

function text(response: ServerResponse, status: number, line: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
  response.end(`${line}\n`)
}
