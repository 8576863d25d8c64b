import type { Socket } from 'node:net'
import { handleRequest } from '../request-handler.js'
import { keepAliveMs, type HttpServerOptions } from '../server.js'
import { Http2Connection, type Http2ConnectionOptions } from './connection.js'

/**
 * Serves Git's protocols over HTTP/2, on connections whose clients have chosen it in their TLS handshake (ALPN `h2`). Once
 * `connection.ts` has taken a request, it is answered as one of HTTP/1 is: by `request-handler.ts`.
 */
export class Http2Server {
  readonly #gate: HttpServerOptions['gate']
  readonly #options: Http2ConnectionOptions
  readonly #connections = new Map<Socket, Http2Connection>()

  constructor(options: HttpServerOptions) {
    const { gate, maxHeaderBytes, requestIdleMs, responseStalls, metrics } = options
    this.#gate = gate
    this.#options = {
      ...{ maxHeaderBytes, responseStalls, keepAliveMs, firstRequestMs: requestIdleMs },
      answer: (request, response, awaitsContinue) =>
        void handleRequest(options, request, response, awaitsContinue),
      cut: (reason) => metrics.clientsCut.inc({ reason }),
    }
  }

  /** Takes a TLS connection. */
  accept(socket: Socket): void {
    // Node asserts that there is a connection; its client may have gone meanwhile.
    if (socket.destroyed) return
    this.#connections.set(socket, new Http2Connection(socket, this.#options))
    socket.once('close', () => this.#connections.delete(socket))
    this.#gate.connectionAccepted()
  }

  /** Has all connections end: those without a request at once, others when the last one has been answered. */
  endConnections(): void {
    for (const connection of this.#connections.values()) connection.end()
  }

  /** Closes all connections at once. */
  closeAllConnections(): void {
    for (const socket of this.#connections.keys()) socket.destroy()
  }
}
