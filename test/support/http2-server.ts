import type { Test } from 'tap'
import { once } from 'node:events'
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { connect as connectSocket, createServer, type AddressInfo, type Socket } from 'node:net'
import { Http2Server } from '../../src/http/http2/server.js'
import type { HttpServerOptions } from '../../src/http/server.js'
import type { PassThroughAdmission, PassThroughRequest } from '../../src/origin/pass-through.js'
import type { OriginResponse } from '../../src/origin/pass-through.js'
import { originResponse, serverOptions } from './fake-origin-server.js'

/** Answers a request that passes through. */
export type Pass = (
  request: PassThroughRequest,
  admission: PassThroughAdmission,
) => Partial<OriginResponse> | Promise<Partial<OriginResponse>>

/** Opens a server of HTTP/2 without TLS, to an origin of the test's own, and a client of it. */
export async function openHttp2(t: Test, pass: Pass, options: Partial<HttpServerOptions> = {}) {
  const send = async (_target: unknown, request: PassThroughRequest, admission: PassThroughAdmission) =>
    originResponse(await pass(request, admission))
  const all = serverOptions({
    origin: {
      ...{ passThrough: send, mutate: send, passed: () => {} },
      advertise: async () => undefined,
      listRefs: async () => undefined,
      fetch: async () => undefined,
    } as unknown as HttpServerOptions['origin'],
    ...options,
  })
  const http2 = new Http2Server(all)
  const sockets: Socket[] = []
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket)
    http2.accept(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const open = (settings: Parameters<typeof connect>[1] = {}): ClientHttp2Session => {
    const client = connect(`http://127.0.0.1:${port}`, settings).on('error', () => {})
    t.teardown(() => client.destroy())
    return client
  }
  const openSocket = (): Socket => {
    const socket = connectSocket(port, '127.0.0.1').on('error', () => {})
    t.teardown(() => socket.destroy())
    return socket
  }
  t.teardown(() => {
    server.close()
    http2.closeAllConnections()
  })
  return { http2, sockets, metrics: all.metrics, open, openSocket }
}

export interface Http2Answer {
  readonly status: number | undefined
  readonly headers: Record<string, unknown>
  readonly body: Buffer
  /** The code with which the stream ended. */
  readonly code: number
}

/** Resolves when a stream has closed, with what came on it. */
export async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  let headers: Record<string, unknown> = {}
  const chunks: Buffer[] = []
  stream.on('response', (given) => (headers = given))
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('error', () => {})
  stream.resume()
  await new Promise((resolve) => stream.once('close', resolve))
  const status = headers[':status'] as number | undefined
  return { status, headers, body: Buffer.concat(chunks), code: stream.rstCode }
}

/** Sends a request and resolves with its answer. */
export function ask2(
  client: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Buffer,
): Promise<Http2Answer> {
  const stream = client.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}
