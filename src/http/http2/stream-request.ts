import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { Channel, HttpRequest } from '../message.js'
import { distinct, rawHeadersOf, requestHeaders } from './header-fields.js'

/** Node's state of a stream that is read: has its end come, though it may not have been read yet? */
interface Internals {
  readonly _readableState?: { readonly ended?: boolean }
}

/**
 * A request that comes in a stream of HTTP/2. Its body is read on from the stream only as far as it is read here, so that
 * flow control holds back a client whose request waits.
 */
export class StreamRequest extends Readable implements HttpRequest {
  readonly httpVersion = '2'
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly socket: Socket
  readonly channel: Channel
  /** Bytes of its body that have been read from the stream. */
  received = 0
  readonly #stream: ServerHttp2Stream
  readonly #fields: readonly string[]
  #rawHeaders: string[] | undefined
  #complete = false

  /** @param fields the header fields as they came, names and values in turn */
  constructor(
    stream: ServerHttp2Stream,
    head: IncomingHttpHeaders,
    fields: readonly string[],
    socket: Socket,
    channel: Channel,
  ) {
    super()
    this.#stream = stream
    this.#fields = fields
    this.socket = socket
    this.channel = channel
    const { method, url, headers } = requestHeaders(head)
    this.method = method
    this.url = url
    this.headers = headers
    if (stream.endAfterHeaders) {
      this.#end()
      // Without a reader, Node would not see that the stream has ended.
      stream.resume()
      return
    }
    stream.on('data', (chunk: Buffer) => this.#take(chunk) || stream.pause())
    stream.once('end', () => this.#leave(!stream.closed || hasEnded(stream)))
    stream.once('aborted', () => this.#leave(hasEnded(stream)))
    stream.once('close', () => this.#leave(false))
  }

  get rawHeaders(): string[] {
    return (this.#rawHeaders ??= rawHeadersOf(this.#fields))
  }

  get headersDistinct(): NodeJS.Dict<string[]> {
    return distinct(this.rawHeaders)
  }

  get complete(): boolean {
    return this.#complete
  }

  override _read(): void {
    this.#stream.resume()
  }

  #take(chunk: Buffer): boolean {
    this.received += chunk.length
    return this.push(chunk)
  }

  #end(): void {
    this.#complete = true
    this.push(null)
  }

  /** Nothing follows on the stream. @param isWhole has the request come whole? What of it is unread is taken over then */
  #leave(isWhole: boolean): void {
    if (this.#complete || this.destroyed) return
    if (!isWhole) {
      this.destroy(Object.assign(new Error('the client has left'), { code: 'ECONNRESET' }))
      return
    }
    for (let chunk = this.#read(); chunk; chunk = this.#read()) this.#take(chunk)
    this.#end()
  }

  #read(): Buffer | null {
    return this.#stream.read() as Buffer | null
  }
}

/** Has the client sent the end of its request, whether that has been read or not? */
const hasEnded = (stream: ServerHttp2Stream): boolean =>
  stream.readableEnded || (stream as unknown as Internals)._readableState?.ended === true
