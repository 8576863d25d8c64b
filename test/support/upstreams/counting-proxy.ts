import type { Test } from 'tap'
import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream'

/** Where a server listens: a Unix socket, or a port of 127.0.0.1. */
export type ProxyTarget = { readonly socketPath: string } | { readonly port: number }

export interface CountedRequest {
  readonly method: string
  /** Path and query, as they came. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  /** Of the response; undefined until it has begun, and if the server did not answer. */
  status: number | undefined
}

export interface CountingProxy {
  readonly url: string
  readonly requests: readonly CountedRequest[]
  /** Closes the listener and all connections. */
  close(): Promise<void>
}

/**
 * Starts a reverse proxy on a free port of 127.0.0.1 that writes down each request. It changes nothing but hop-by-hop
 * headers, and a failure of the server stays one: the client's connection is closed. Ended with the test.
 */
export async function startCountingProxy(t: Test, target: ProxyTarget): Promise<CountingProxy> {
  const requests: CountedRequest[] = []
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const { method = '', url = '', headers } = incoming
    const counted: CountedRequest = { method, target: url, headers, status: undefined }
    requests.push(counted)
    forward(target, incoming, outgoing, (status) => (counted.status = status))
  }
  // Without a listener for it, Node would say `100 Continue` before the server has.
  const server = createServer(serve).on('checkContinue', serve).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    if (!server.listening) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  t.teardown(close)
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close }
}

function forward(
  target: ProxyTarget,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  answered: (status: number) => void,
): void {
  const toServer = request({
    ...target,
    // One connection per request: a reused one that the server closes just then would be a failure of ours.
    agent: false,
    method: incoming.method,
    path: incoming.url,
    // That the server closes a connection is then its own decision, which the client sees.
    headers: [...withoutConnection(incoming.rawHeaders), 'Connection', 'keep-alive'],
  })
  toServer.on('continue', () => outgoing.writeContinue())
  toServer.on('response', (response) => {
    const { statusCode = 0, rawHeaders } = response
    answered(statusCode)
    const closes = response.headers.connection === 'close' ? ['Connection', 'close'] : []
    outgoing.writeHead(statusCode, response.statusMessage, [...withoutConnection(rawHeaders), ...closes])
    pipeline(response, outgoing, () => toServer.destroy())
  })
  // After the response has begun, the server may refuse the rest of the request; the response says how it ends.
  toServer.on('error', () => outgoing.headersSent || outgoing.destroy())
  outgoing.on('close', () => outgoing.writableFinished || toServer.destroy())
  incoming.pipe(toServer)
}

const ofConnection = ['connection', 'keep-alive', 'proxy-connection']

/** Takes and returns alternating names and values. */
function withoutConnection(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, index) => !ofConnection.includes(rawHeaders[index & ~1]!.toLowerCase()))
}
