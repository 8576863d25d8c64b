import type { Http2Server } from 'node:http2'
import type { Server } from '@grpc/grpc-js'

/** Private state of grpc-js. */
interface Internals {
  readonly http2Servers?: ReadonlyMap<Http2Server, unknown>
}

/**
 * Returns the HTTP/2 server under a server of grpc-js that has one connection injector: grpc-js does not expose the
 * settings and events of HTTP/2 that bound what a connection may hold.
 * @throws Error if this version of grpc-js keeps it elsewhere: a server without bounds must not run
 */
export function http2Server(server: Server): Http2Server {
  const [http2] = (server as unknown as Internals).http2Servers?.keys() ?? []
  if (!http2) throw unsupportedVersion()
  return http2
}

/** A part of grpc-js that limits depend on is not where version 1.14.7 has it. */
export const unsupportedVersion = (): Error =>
  new Error('this version of @grpc/grpc-js is not supported; 1.14.7 is')
