import type { IncomingHttpHeaders, OutgoingHttpHeader } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import type { StallableClient } from '../limits/connection/stall-detector.js'

/** A request, in the shape that Node's HTTP/1 server gives it. */
export interface HttpRequest extends Readable {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** `1.0`, `1.1` or `2`. */
  readonly httpVersion: string
  readonly headers: IncomingHttpHeaders
  readonly headersDistinct: NodeJS.Dict<string[]>
  /** Alternating names and values. */
  readonly rawHeaders: string[]
  /** Has it come whole? */
  readonly complete: boolean
  /** The connection on which it came. */
  readonly socket: Socket
  /** Where it is not the whole connection. */
  readonly channel?: Channel
}

/** The response to a request, in the shape that Node's HTTP/1 server gives it. */
export interface HttpResponse extends Writable {
  readonly headersSent: boolean
  statusCode: number
  statusMessage: string
  setHeader(name: string, value: string): unknown
  /** @param headers alternating names and values @throws if HTTP does not allow them */
  writeHead(status: number, text?: string, headers?: OutgoingHttpHeader[]): this
  writeHead(status: number, headers?: OutgoingHttpHeader[]): this
  /** Sends 100 (Continue). */
  writeContinue(): void
}

/** What carries a request and its response: a connection (HTTP/1), or a stream of one (HTTP/2). */
export interface Channel {
  /** Bytes of the request that have come; those of earlier requests may count too. */
  readonly received: number
  /** What the client takes of the response. */
  readonly reader: StallableClient
  /** Ends a response that cannot be finished in a way that its client sees as an error (R4), after what was handed over. */
  breakOff(): void
  /** Ends the request and the response at once, because the client is too slow. */
  cut(): void
}
