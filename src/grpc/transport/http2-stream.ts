import type { ServerHttp2Stream } from 'node:http2'

/** As grpc-js has it inside: interceptors around a call that has the stream. */
interface Inside {
  readonly stream?: ServerHttp2Stream
  readonly nextCall?: Inside
}

/**
 * The stream of HTTP/2 under a call of grpc-js, which has no way to end one at once. undefined: this grpc-js keeps it
 * elsewhere; then the call goes when its connection does.
 */
export function http2Stream(call: unknown): ServerHttp2Stream | undefined {
  let inside = call as Inside | undefined
  while (inside?.nextCall) inside = inside.nextCall
  return inside?.stream
}
