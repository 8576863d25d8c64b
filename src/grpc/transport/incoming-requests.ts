import { constants, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import {
  ResponderBuilder,
  ServerInterceptingCall,
  ServerListenerBuilder,
  status,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js'
import { timerMaxMs } from '../../limits/clock.js'
import { unsupportedVersion } from './http2-server.js'
import { http2Stream } from './http2-stream.js'
import { IncomingLedger, windowBytes, type IncomingCall } from './incoming-ledger.js'

export interface IncomingRequestsOptions {
  /** Milliseconds in which a client must send something of a request that it has begun. */
  readonly idleMs: number
  /** Most bytes of memory for requests that have not come whole, over all connections. */
  readonly maxBytes: number
  /** Bytes of messages of such requests, on one connection, beyond which only the one that began first is read on. */
  readonly connectionBytes: number
  /** Told of each call that was ended because its request did not come. */
  readonly cut: (reason: 'silent' | 'memory') => void
}

/** Bytes of memory that an open call takes besides what its client has sent: 9 KiB, measured with 5000 of them. */
const callBytes = 10 * 1024
/** Most bytes of a call's metadata, as the fields of a head are counted in HTTP/2 (RFC 9113, section 10.5.1). */
const metadataMax = 16 * 1024
/** Milliseconds in which a client must acknowledge these limits; until then it may exceed them. */
const settingsMs = 10_000

interface Incoming {
  readonly call: IncomingCall
  readonly timer: NodeJS.Timeout
}

/**
 * Bounds the memory of calls whose request is incomplete: grpc-js buffers the request, and reports it only when it is
 * complete. Their clients are not authenticated yet, and could use up a limit on the number of calls to block other
 * clients. So bytes are limited, not calls.
 *
 * - HTTP/2 itself bounds the streams of a connection, a call's metadata, and what a client may send before it is read.
 * - On one connection, requests that are together too large are read one after another. Others are not delayed.
 * - When all requests together hold too much, the client address that holds most loses the call that has been silent
 *   longest. A request that comes as fast as the network allows is never that one while others are silent.
 * - A client that sends nothing for too long loses its call, DEADLINE_EXCEEDED.
 *
 * An answer that is complete before its request, such as an error, ends the call (RFC 9113, section 8.1): otherwise its
 * client might keep it open forever.
 */
export class IncomingRequests {
  readonly #options: IncomingRequestsOptions
  readonly #ledger: IncomingLedger
  /** Calls as grpc-js has them, by their streams. */
  readonly #begun = new WeakMap<ServerHttp2Stream, ServerInterceptingCallInterface>()
  readonly #incoming = new WeakMap<ServerHttp2Stream, Incoming>()

  constructor(options: IncomingRequestsOptions) {
    this.#options = options
    this.#ledger = new IncomingLedger(options.connectionBytes)
  }

  /** Bytes of memory that are held now. */
  get bytes(): number {
    return this.#ledger.weight
  }

  /** To be given to the server of grpc-js; its HTTP/2 server is then passed to `watch`. */
  readonly interceptor: ServerInterceptor = ({ requestStream }, call) => {
    const stream = http2Stream(call)
    if (!stream) throw unsupportedVersion()
    this.#begun.set(stream, call)
    if (!requestStream) return new ServerInterceptingCall(call)
    // Of many requests on one stream, the first is enough to show that the client uses the call.
    const listener = new ServerListenerBuilder()
      .withOnReceiveMessage((message, next) => {
        this.#close(stream)
        next(message)
      })
      .build()
    return new ServerInterceptingCall(
      call,
      new ResponderBuilder().withStart((next) => next(listener)).build(),
    )
  }

  /** Watches the requests of an HTTP/2 server. */
  watch(server: Http2Server): void {
    server.updateSettings({ initialWindowSize: windowBytes, maxHeaderListSize: metadataMax })
    server.on('session', (session) => {
      const timer = setTimeout(() => session.destroy(), settingsMs).unref()
      session.once('localSettings', () => clearTimeout(timer)).once('close', () => clearTimeout(timer))
    })
    const open = (stream: ServerHttp2Stream, _headers: unknown, _flags: unknown, raw: string[]): void =>
      this.#open(stream, raw)
    // After grpc-js's own listener, which answers some calls at once and begins the others.
    server.on('stream', open as (stream: ServerHttp2Stream) => void)
  }

  #open(stream: ServerHttp2Stream, rawHeaders: readonly string[]): void {
    const { session } = stream
    if (stream.endAfterHeaders || stream.closed || !session) return
    const metadataBytes = rawHeaders.reduce((sum, text) => sum + text.length, rawHeaders.length * 16)
    if (metadataBytes > metadataMax) {
      // Its client has not acknowledged this limit yet.
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
      return
    }
    // HTTP/2's fields, and grpc-js's metadata.
    const call = this.#ledger.open(stream, session, callBytes + 2 * metadataBytes)
    const timer = setTimeout(
      () => {
        // Then it is not the client that is silent.
        if (this.#ledger.isPaused(call)) timer.refresh()
        else this.#cut(call, 'silent', status.DEADLINE_EXCEEDED, 'the request did not come in time')
      },
      Math.min(this.#options.idleMs, timerMaxMs),
    )
    this.#incoming.set(stream, { call, timer })
    const close = (): void => this.#close(stream)
    stream.on('data', (chunk: Buffer) => this.#received(stream, chunk.length))
    stream.once('end', close).once('close', close)
    stream.once('finish', () => {
      // Later, so that grpc-js has finished with it.
      setImmediate(() => {
        if (this.#incoming.has(stream)) stream.close(constants.NGHTTP2_NO_ERROR)
      })
    })
    this.#freeMemory()
  }

  #received(stream: ServerHttp2Stream, bytes: number): void {
    const incoming = this.#incoming.get(stream)
    if (!incoming) return
    incoming.timer.refresh()
    if (this.#ledger.received(incoming.call, bytes)) stream.pause()
    this.#freeMemory()
  }

  /** The request has come whole, or never will. */
  #close(stream: ServerHttp2Stream): void {
    const incoming = this.#incoming.get(stream)
    if (!incoming) return
    this.#incoming.delete(stream)
    clearTimeout(incoming.timer)
    for (const next of this.#ledger.close(incoming.call)) {
      this.#incoming.get(next.stream)?.timer.refresh()
      next.stream.resume()
    }
  }

  #freeMemory(): void {
    while (this.#ledger.weight > this.#options.maxBytes) {
      const silent = this.#ledger.longestSilentOfHeaviestClient()
      if (!silent) return
      const why = 'requests that are incomplete hold too much memory, and this one has been silent longest'
      this.#cut(silent, 'memory', status.RESOURCE_EXHAUSTED, why)
    }
  }

  #cut({ stream }: IncomingCall, reason: 'silent' | 'memory', code: status, details: string): void {
    this.#options.cut(reason)
    this.#close(stream)
    this.#begun.get(stream)?.sendStatus({ code, details })
    // grpc-js would wait for the rest of the request.
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR))
  }
}
