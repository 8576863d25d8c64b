import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FairShares } from '../limits/admission/shares.js'
import { Connection, type ConnectionsOptions } from './connection.js'
import { handleRequest, type RequestHandlerOptions } from './request-handler.js'

export interface HttpServerOptions extends RequestHandlerOptions {
  /** Milliseconds in which the head of a request must come. */
  readonly requestIdleMs: number
  /** Bytes that the head of a request may have. */
  readonly maxHeaderBytes: number
  /** Requests that may wait for an earlier one on their connection, by clients. */
  readonly pipelined: FairShares
}

/** Longer than a proxy in front keeps its idle connections, in milliseconds, so that the proxy closes first. */
export const keepAliveMs = 75_000

/**
 * Creates the server of Git's smart and dumb HTTP protocols (gitprotocol-http(5)). A request passes through five files:
 * it comes in here; `connection.ts` takes the requests of one connection one after another; `request-handler.ts` admits
 * and authorizes it; `route.ts` tells what it asks for; and `advertisement.ts`, `ls-refs.ts` or `pass-through.ts` sends
 * the answer. `exchange.ts` is what they hand on: one request and its response.
 */
export function createHttpServer(options: HttpServerOptions): Server {
  const server = createServer({
    maxHeaderSize: options.maxHeaderBytes,
    // Node searches for heads that are overdue at intervals.
    connectionsCheckingInterval: Math.min(30_000, Math.ceil(options.requestIdleMs / 4)),
  })
  // A push may take as long as its client's network needs; only the head of a request has to come soon.
  server.requestTimeout = 0
  server.headersTimeout = options.requestIdleMs
  // Bytes are limited; Node would drop every header after the first thousand.
  server.maxHeadersCount = 0
  server.keepAliveTimeout = keepAliveMs
  const take = (request: IncomingMessage, response: ServerResponse, awaitsContinue = false): void =>
    Connection.of(request.socket).take(request, response, awaitsContinue)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => take(request, response))
  // A client that waits for 100 (Continue) gets it when its request has been admitted.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    take(request, response, true),
  )
  // Any other expectation (RFC 9110, section 10.1.1) means nothing to Git.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    take(request, response),
  )
  const connections = connectionsOptions(options)
  server.on('connection', (socket) => {
    new Connection(socket, connections)
    options.gate.connectionAccepted()
  })
  server.on('clientError', rejectConnection)
  return server
}

function connectionsOptions(options: HttpServerOptions): ConnectionsOptions {
  const { pipelined, metrics } = options
  return {
    pipelined,
    answer: (request, response, awaitsContinue) =>
      void handleRequest(options, request, response, awaitsContinue),
    dropped: (count) => {
      const labels = { transport: 'http', kind: 'other', protocol: 'v0', outcome: 'aborted' }
      metrics.requests.inc(labels, count)
    },
    cut: () => metrics.clientsCut.inc({ reason: 'pipelining' }),
  }
}

/** Answers what Node could not read as a request. */
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
