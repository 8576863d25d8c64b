import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { AuthorizerUnavailable } from '../access/access.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import type { LsRefsRequest } from '../git/protocol/ls-refs.js'
import { protocolVersion } from '../git/protocol/version.js'
import type { Reading } from '../freshness/fresh-cache.js'
import { causeOf, untilUnexchanged } from '../service/errors.js'
import type { RefService, Target } from '../service/ref-service.js'
import { FillError } from '../streamcache/index.js'
import type { RecentAdmissions } from '../limits/admission/recent-admissions.js'
import { clientGroup } from '../limits/admission/client-group.js'
import { Overloaded } from '../limits/overloaded.js'
import type { AdmissionGate } from '../limits/admission/admission-gate.js'
import { ShareHolding, type FairShares } from '../limits/admission/shares.js'
import type { Log } from '../telemetry/log.js'
import { sendAdvertisement, type AdvertisementOptions } from './advertisement.js'
import { authorize, type AuthorizeOptions } from './authorize.js'
import { Connection, type ConnectionsOptions } from './connection.js'
import { Exchange, type Monitors } from './exchange.js'
import { backendRequest, passThrough } from './pass-through.js'
import { sendRefs } from './ls-refs.js'
import { peekBody, type PeekedBody } from './request-body.js'
import { sendError, HttpError } from './responses.js'
import { parseTarget, type Route } from './route.js'
import { explain } from './status.js'

export interface HttpServerOptions extends AdvertisementOptions, AuthorizeOptions, Monitors {
  readonly service: RefService
  readonly log: Log
  /** Milliseconds in which the head of a request must come. */
  readonly requestIdleMs: number
  /** Bytes that the head of a request may have. */
  readonly maxHeaderBytes: number
  readonly admissions: RecentAdmissions
  /** How many requests may be under way at once. */
  readonly gate: AdmissionGate
  /** Requests that may wait for an earlier one on their connection, by clients. */
  readonly pipelined: FairShares
  /** Bytes of request bodies that may be in memory, by clients. */
  readonly bodies: FairShares
  /** Told of each request that is shed. */
  readonly shed: (why: Overloaded) => void
  /** To requests that are shed. */
  readonly shedStatus: 429 | 503
}

/** The HTTP door: Git's smart and dumb HTTP protocols in, answers out (gitprotocol-http(5)). */
export function createHttpServer(options: HttpServerOptions): Server {
  // Node looks for heads that are overdue at intervals.
  const connectionsCheckingInterval = Math.min(30_000, Math.ceil(options.requestIdleMs / 4))
  const take = (request: IncomingMessage, response: ServerResponse, bodyWaits = false): void =>
    Connection.of(request.socket).take(request, response, bodyWaits)
  const server = createServer(
    { connectionsCheckingInterval, maxHeaderSize: options.maxHeaderBytes },
    (request, response) => take(request, response),
  )
  // A client that asks before it sends a body is told to send it when it may, and not before.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    take(request, response, true),
  )
  // What else a client may expect (RFC 9110, section 10.1.1) means nothing to Git.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    take(request, response),
  )
  // A push may take as long as its client's line needs; only the head of a request has to come soon.
  server.requestTimeout = 0
  server.headersTimeout = options.requestIdleMs
  // Bytes are counted; Node would drop all that come after the first thousand headers, whatever they are.
  server.maxHeadersCount = 0
  // Longer than a proxy in front keeps its idle connections, so that it closes first.
  server.keepAliveTimeout = 75_000
  server.on('clientError', rejectConnection)
  const connections: ConnectionsOptions = {
    answer: (request, response, bodyWaits) => void answer(options, request, response, bodyWaits),
    pipelined: options.pipelined,
    dropped: (count) => {
      const labels = { transport: 'http', kind: 'other', protocol: 'v0', outcome: 'aborted' }
      options.metrics.requests.inc(labels, count)
    },
    cut: () => options.metrics.clientsCut.inc({ reason: 'pipelining' }),
  }
  server.on('connection', (socket) => {
    new Connection(socket, connections)
    options.gate.connectionAccepted()
  })
  return server
}

async function answer(
  options: HttpServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  bodyWaits: boolean,
): Promise<void> {
  const exchange = new Exchange(request, response, options)
  exchange.bodyWaits = bodyWaits
  let leave: (() => void) | undefined
  try {
    const route = identify(exchange)
    const admitted = isAdmitted(options, exchange)
    const client = clientGroup(exchange.clientAddress)
    const entered = options.gate.enter({ group: route.repository, admitted, client }, exchange)
    leave = entered instanceof Promise ? await entered : entered
    await untilUnexchanged(
      () => dispatch(options, exchange, route),
      () => !response.headersSent,
    )
  } catch (error) {
    fail(options, exchange, error)
  } finally {
    leave?.()
    exchange.memory?.release()
  }
  if (exchange.aborted && exchange.outcome !== 'error') exchange.outcome = 'aborted'
  exchange.done()
  if (options.log.isLevelEnabled('debug')) logRequest(options, exchange)
}

function logRequest({ log }: HttpServerOptions, exchange: Exchange): void {
  const { request, kind, version, outcome, repository, sentBytes } = exchange
  const ms = Math.round(performance.now() - exchange.startedAt)
  const told = { method: request.method, repository, kind, protocol: `v${version}`, outcome, sentBytes, ms }
  log.debug(told, 'request')
}

/** Tells what is asked for. @throws Refusal */
function identify(exchange: Exchange): Route {
  const route = parseRoute(exchange)
  exchange.repository = route.repository
  exchange.kind = kindOf(route)
  exchange.version = protocolVersion(exchange.request.headers['git-protocol'] as string | undefined)
  return route
}

async function dispatch(options: HttpServerOptions, exchange: Exchange, route: Route): Promise<void> {
  const { request } = exchange
  const granted = authorize(options, exchange, route)
  const { user, identity } = granted instanceof Promise ? await granted : granted
  exchange.throwIfAborted()
  const target = { path: route.repository, identity }

  if (exchange.kind === 'advertisement') {
    const reading = await options.service.advertise(target, exchange.version, true)
    if (reading) {
      admit(options, exchange)
      return answerAdvertisement(options, exchange, reading)
    }
  }
  exchange.sendContinue()
  if (request.method !== 'POST') return answerByGit(options, exchange, target, route, user)
  exchange.memory ??= new ShareHolding(options.bodies, clientGroup(exchange.clientAddress))
  exchange.peeked ??= await peekBody(request, mayAskForRefs(exchange), exchange.memory)
  const { peeked } = exchange
  exchange.throwIfAborted()
  const isAnswered = peeked.lsRefs && (await answerRefs(options, exchange, target, peeked.lsRefs))
  if (!isAnswered) await answerByGit(options, exchange, target, route, user, peeked)
}

/** @returns whether it could: if not, Git is to say why */
async function answerRefs(
  { service }: HttpServerOptions,
  exchange: Exchange,
  target: Target,
  asked: LsRefsRequest,
): Promise<boolean> {
  exchange.kind = 'ls-refs'
  const answer = await service.listRefs(target, asked)
  if (!answer) return false
  exchange.throwIfAborted()
  await sendRefs(exchange, answer, asked)
  exchange.outcome = answer.reuse
  return true
}

async function answerByGit(
  options: HttpServerOptions,
  exchange: Exchange,
  target: Target,
  route: Route,
  user: string | undefined,
  peeked?: PeekedBody,
): Promise<void> {
  const backend = backendRequest(exchange, route, user)
  const { service } = options
  const turn = { admitted: isAdmitted(options, exchange), queueing: exchange.signal }
  const process =
    exchange.kind === 'receive-pack'
      ? await service.mutate(target, backend, { ...turn, signal: exchange.abortedEarly })
      : await service.passThrough(target, backend, { ...turn, signal: exchange.signal })
  const isWhole = await passThrough(exchange, process, user, peeked)
  if (!isWhole) return
  admit(options, exchange)
  exchange.outcome = 'passthrough'
}

async function answerAdvertisement(
  options: HttpServerOptions,
  exchange: Exchange,
  reading: Reading,
): Promise<void> {
  const { follower, reuse } = reading
  // Also wakes a follower that waits for bytes that may never come.
  exchange.onAbort(() => follower.close())
  try {
    await sendAdvertisement(exchange, reading, options)
  } finally {
    follower.close()
  }
  exchange.outcome = reuse
}

/**
 * A client that was let in at its GET is known for a while: its POSTs are queued where others are shed, for Git dies of a
 * 429 to a POST. Behind a proxy all clients are one, which errs on the side of queueing.
 */
function admit({ admissions }: HttpServerOptions, { kind, clientAddress, repository = '' }: Exchange): void {
  if (kind.endsWith('advertisement')) admissions.add(clientAddress, repository)
}

function isAdmitted(
  { admissions }: HttpServerOptions,
  { request, clientAddress, repository = '' }: Exchange,
): boolean {
  return request.method === 'POST' && admissions.has(clientAddress, repository)
}

/** Could the body be an ls-refs command that http-backend would hand to upload-pack? */
function mayAskForRefs({ kind, version, request }: Exchange): boolean {
  const type = request.headers['content-type']
  return kind === 'upload-pack' && version === 2 && type === 'application/x-git-upload-pack-request'
}

/** @throws Refusal */
function parseRoute({ request: { url = '', method } }: Exchange): Route {
  const route = parseTarget(url)
  if (route === 'not-a-target') throw new HttpError(400, 'the request target is not a path')
  if (route === 'too-long') throw new HttpError(414, 'the path is too long for any repository')
  if (!route) throw new HttpError(404)
  if (method === route.method || (method === 'HEAD' && route.method === 'GET')) return route
  const allowed = route.method === 'GET' ? 'GET, HEAD' : 'POST'
  throw new HttpError(405, `${route.resource} takes ${allowed}`, ['Allow', allowed])
}

/** What is asked for, as the metrics name it. */
function kindOf({ resource, service }: Route): string {
  if (resource === '/info/refs' && service === 'git-upload-pack') return 'advertisement'
  if (resource === '/info/refs' && service === 'git-receive-pack') return 'receive-pack-advertisement'
  if (resource.startsWith('/git-')) return resource.slice('/git-'.length)
  return 'dumb'
}

function fail(options: HttpServerOptions, exchange: Exchange, error: unknown): void {
  const { log, shed, shedStatus } = options
  const { response, request, repository } = exchange
  if (exchange.aborted) {
    exchange.outcome = 'aborted'
    return
  }
  const cause = causeOf(error)
  const { refusal, outcome } = explain(cause, shedStatus)
  exchange.outcome = outcome
  if (cause instanceof Overloaded) shed(cause)
  // A failed fill fails all its followers; Git's complaint, the authoriser's failure, or that a filesystem does not
  // answer, has been logged once.
  const isLogged = [FillError, AuthorizerUnavailable, FilesystemUnanswered].some(
    (known) => error instanceof known,
  )
  const level = isLogged ? 'debug' : 'error'
  if (outcome === 'error') log[level]({ err: error, repository, method: request.method }, 'request failed')
  if (response.headersSent) exchange.breakOff()
  else sendError(response, refusal, exchange.bodyWaits)
}

/** What comes on a connection is no request. */
function rejectConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, reason] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'the head of the request is too large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'the head of the request did not come in time']
        : ['400 Bad Request', 'this is not HTTP/1.1']
  const body = `refstream: ${reason}\n`
  const head = [
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
  ]
  Connection.of(socket).reject(`HTTP/1.1 ${status}\r\n${head.join('\r\n')}\r\n\r\n${body}`)
}
