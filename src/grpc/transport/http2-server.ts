import type { Http2Server } from 'node:http2'
import type { Server } from '@grpc/grpc-js'

/** As grpc-js has it inside. */
interface Inside {
  readonly http2Servers?: ReadonlyMap<Http2Server, unknown>
}

/**
 * Returns the HTTP/2 server under a server of grpc-js that has one connection injector: grpc-js shows none of the settings
 * and events of HTTP/2 that bound what a connection may hold.
 * @throws if this grpc-js keeps it elsewhere: without bounds there shall be no server
 */
export function http2Server(server: Server): Http2Server {
  const [inside] = (server as unknown as Inside).http2Servers?.keys() ?? []
  if (!inside) throw new Error('this version of @grpc/grpc-js is not supported; 1.14.7 is')
  return inside
}
