import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { StallableClient } from '../../limits/connection/stall-detector.js'
import type { Channel } from '../message.js'
import { StreamRequest } from './stream-request.js'
import { resetStream, StreamResponse } from './stream-response.js'

/** A stream of HTTP/2, which carries one request and its response: nothing that ends it concerns other streams. */
export class StreamChannel implements Channel {
  readonly request: StreamRequest
  readonly response: StreamResponse
  readonly #stream: ServerHttp2Stream

  /** @param fields the header fields as they came, names and values in turn */
  constructor(
    stream: ServerHttp2Stream,
    head: IncomingHttpHeaders,
    fields: readonly string[],
    socket: Socket,
  ) {
    this.#stream = stream
    // What matters of an error is that the stream closes; without a listener it would end the program.
    stream.on('error', () => {})
    this.request = new StreamRequest(stream, head, fields, socket, this)
    this.response = new StreamResponse(stream, this.request.method === 'HEAD')
    if (!this.request.complete) this.response.once('finish', () => this.#dropRequest())
  }

  get received(): number {
    return this.request.received
  }

  get reader(): StallableClient {
    return this.response
  }

  breakOff(): void {
    this.response.breakOff()
  }

  cut(): void {
    resetStream(this.#stream, 'the client is too slow')
  }

  /** A client whose answer is whole need not send the rest of its request (RFC 9113, section 8.1). */
  #dropRequest(): void {
    this.request.unpipe()
    this.request.resume()
    // What has come already is read first: it may be all.
    setImmediate(() => {
      if (!this.request.complete) this.#stream.close(constants.NGHTTP2_NO_ERROR)
    })
  }
}
