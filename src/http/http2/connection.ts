import { METHODS } from 'node:http'
import {
  constants,
  performServerHandshake,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import { handleClient } from '../../limits/connection/socket-client.js'
import type { StallDetector } from '../../limits/connection/stall-detector.js'
import type { HttpRequest, HttpResponse } from '../message.js'
import { HttpError, sendError } from '../responses.js'
import { headBytes } from './header-fields.js'
import { StreamChannel } from './stream-channel.js'

/** What all connections of a server share. */
export interface Http2ConnectionOptions {
  /** Starts to answer a request. */
  readonly answer: (request: HttpRequest, response: HttpResponse, awaitsContinue: boolean) => void
  /** Bytes that the head of a request may have. */
  readonly maxHeaderBytes: number
  /** Milliseconds in which the first request must come. */
  readonly firstRequestMs: number
  /** Milliseconds without a request after which a connection is closed. */
  readonly keepAliveMs: number
  /** Finds clients that take nothing of what is sent to them. */
  readonly responseStalls: StallDetector
  /** Told of each connection that was cut: its client has cancelled too many requests, or does not read. */
  readonly cut: (reason: 'cancelling' | 'idle' | 'slow') => void
}

/** Requests of one connection that may be under way. RFC 9113, section 6.5.2, recommends no fewer. */
const streamsMax = 100
/**
 * Bytes of a body that a client may send before it is read. Four times the default: a push over 50 ms gets 5 MB/s. All streams
 * of a connection together hold at most a hundred times as much.
 */
const windowBytes = 256 * 1024
/** The same for all bodies of a connection. Node counts what has come as read, so that it only covers what is on the way. */
const connectionWindowBytes = 4 * windowBytes
/** Requests that a client may cancel before they are answered, besides as many as were answered (CVE-2023-44487). */
const cancelledMax = 100
/** Malformed frames, and requests beyond `streamsMax`, after which a connection is closed. */
const faultyMax = 100
/** Milliseconds in which a client may close a connection that has ended. */
const lingerMs = 5000

const methods = new Set(METHODS)

/**
 * One client's connection of HTTP/2. Each stream carries a request, which is queued and answered like any other; here is
 * what bounds a connection as a whole.
 */
export class Http2Connection {
  readonly #socket: Socket
  readonly #options: Http2ConnectionOptions
  readonly #session: ServerHttp2Session
  #streams = 0
  #answered = 0
  #cancelled = 0
  readonly #firstTimer: NodeJS.Timeout
  #idleTimer: NodeJS.Timeout | undefined
  #lingerTimer: NodeJS.Timeout | undefined

  /** @param socket a TLS connection on which the client has chosen HTTP/2 */
  constructor(socket: Socket, options: Http2ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    // Node resets streams with longer heads; those between are answered.
    const headMax = 2 * options.maxHeaderBytes
    this.#session = performServerHandshake(socket, {
      settings: {
        maxConcurrentStreams: streamsMax,
        initialWindowSize: windowBytes,
        maxHeaderListSize: headMax,
      },
      // Bytes are limited.
      maxHeaderListPairs: headMax,
      maxSessionInvalidFrames: faultyMax,
      maxSessionRejectedStreams: faultyMax,
    })
    this.#session.setLocalWindowSize(connectionWindowBytes)
    // What matters of an error is that the connection closes; without a listener it would end the program.
    this.#session.on('error', () => {}).on('frameError', () => {})
    this.#session.on(
      'stream',
      (stream: ServerHttp2Stream, head: IncomingHttpHeaders, _flags: number, fields: string[]) =>
        this.#take(stream, head, fields),
    )
    this.#firstTimer = setTimeout(() => this.end(), options.firstRequestMs)
    const stop = options.responseStalls.watch(handleClient(socket), (reason) => {
      options.cut(reason)
      socket.destroy()
    })
    socket.once('close', () => {
      stop()
      for (const timer of [this.#firstTimer, this.#idleTimer, this.#lingerTimer]) clearTimeout(timer)
    })
  }

  /** Takes no further requests, and closes the connection when those under way have been answered. */
  end(): void {
    this.#session.close()
    if (this.#streams === 0) this.#linger()
  }

  #linger(): void {
    this.#lingerTimer ??= setTimeout(() => this.#socket.destroy(), lingerMs)
  }

  #take(stream: ServerHttp2Stream, head: IncomingHttpHeaders, fields: string[]): void {
    if (stream.closed) {
      // Its client has cancelled it already.
      stream.on('error', () => {})
      this.#countCancelled()
      return
    }
    clearTimeout(this.#firstTimer)
    this.#streams++
    const awaitsContinue = head.expect?.toLowerCase() === '100-continue' && !stream.endAfterHeaders
    const { request, response } = new StreamChannel(stream, head, fields, this.#socket)
    response.once('finish', () => this.#answered++)
    stream.once('close', () => this.#left(response.writableEnded))
    const error = this.#headError(request.method, fields)
    if (error)
      sendError(
        response.on('error', () => {}),
        error,
      )
    else this.#options.answer(request, response, awaitsContinue)
  }

  /** What Node refuses of HTTP/1 before it is a request. */
  #headError(method: string, fields: readonly string[]): HttpError | undefined {
    if (headBytes(fields) > this.#options.maxHeaderBytes)
      return new HttpError(431, 'the head of the request is too large')
    if (!methods.has(method)) return new HttpError(400, 'this method is not known')
    return undefined
  }

  /** A stream has closed. @param isAnswered did the answer come to its end, or was it broken off here? */
  #left(isAnswered: boolean): void {
    this.#streams--
    if (!isAnswered) this.#countCancelled()
    if (this.#streams > 0) return
    if (this.#session.closed) this.#linger()
    else if (this.#idleTimer) this.#idleTimer.refresh()
    else this.#idleTimer = setTimeout(() => this.#endIdle(), this.#options.keepAliveMs)
  }

  #endIdle(): void {
    if (this.#streams === 0) this.end()
  }

  #countCancelled(): void {
    if (++this.#cancelled <= cancelledMax + this.#answered || this.#session.destroyed) return
    this.#options.cut('cancelling')
    this.#session.destroy(new Error('too many requests were cancelled'), constants.NGHTTP2_ENHANCE_YOUR_CALM)
    this.#linger()
  }
}
