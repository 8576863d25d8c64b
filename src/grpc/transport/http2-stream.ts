import type { ServerHttp2Stream } from 'node:http2'

/** Private state of grpc-js: interceptors around a call that has the stream. */
interface Internals {
  readonly stream?: ServerHttp2Stream
  readonly nextCall?: Internals
}

/**
 * Returns the HTTP/2 stream under a call of grpc-js as interceptors see it: grpc-js has no way to end one at once.
 * undefined: this version of grpc-js keeps it elsewhere; then the call ends with its connection.
 */
export function http2Stream(call: unknown): ServerHttp2Stream | undefined {
  let innermost = call as Internals | undefined
  while (innermost?.nextCall) innermost = innermost.nextCall
  return innermost?.stream
}

/** Returns the HTTP/2 stream under a call as handlers see it. */
export const http2StreamOf = (stream: object): ServerHttp2Stream | undefined =>
  http2Stream((stream as { readonly call?: unknown }).call)
