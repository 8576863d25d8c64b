import type { ServerWritableStream } from '@grpc/grpc-js'
import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { StallableClient } from '../../limits/connection/stall-detector.js'
import { http2StreamOf } from './http2-stream.js'

/**
 * Bytes of a message. Measured with test/bench/grpc.mjs: at 32 KiB a client with HTTP/2's default window of 64 KB gets a
 * fifth less in the same time, and at 128 KiB no client gets more. A client that stops reading holds as much memory.
 */
export const messageSize = 64 * 1024

/** Bytes of messages that one connection has not taken, beyond which further messages are small. */
const connectionBytes = 4 * 1024 * 1024
/** Bytes of a small message: one frame of HTTP/2, so that the throughput of the connection hardly suffers. */
const smallSize = 16 * 1024

/** Bytes of messages that were handed over and that each connection has not taken. */
const untaken = new WeakMap<Http2Session, number>()

/**
 * Sends a server stream one message at a time: the next is made when HTTP/2's flow control has let the last one go
 * (back-pressure). gRPC's own queue would take sixteen, even of a client that reads nothing.
 */
export class Sender<Response> implements StallableClient {
  readonly #stream: ServerWritableStream<unknown, Response>
  readonly #signal: AbortSignal
  readonly #connection: Http2Session | undefined
  #given = 0
  #taken = 0

  /** @param signal aborts when the client leaves */
  constructor(stream: ServerWritableStream<unknown, Response>, signal: AbortSignal) {
    this.#stream = stream
    this.#signal = signal
    this.#connection = this.#http2?.session
  }

  get #http2(): ServerHttp2Stream | undefined {
    return http2StreamOf(this.#stream)
  }

  /** Bytes that the next message should have. */
  get messageSize(): number {
    const bytes = (this.#connection && untaken.get(this.#connection)) ?? 0
    return bytes < connectionBytes ? messageSize : smallSize
  }

  taken(): number {
    return this.#taken
  }

  owed(): boolean {
    return this.#taken < this.#given
  }

  /** Sends a message. Resolves when the client takes more; false: it has left. @throws Error if it cannot be sent */
  send(message: Response, bytes: number): Promise<boolean> {
    if (this.#signal.aborted) return Promise.resolve(false)
    this.#given += bytes
    this.#count(bytes)
    const { written, taken } = this.#pend(bytes)
    this.#stream.write(message, written)
    return taken
  }

  /** Not part of send(): a closure there would keep the message in memory, which gRPC has copied. */
  #pend(bytes: number): { written: (error?: Error | null) => void; taken: Promise<boolean> } {
    const signal = this.#signal
    let written!: (error?: Error | null) => void
    const taken = new Promise<boolean>((resolve, reject) => {
      const leave = (): void => resolve(false)
      signal.addEventListener('abort', leave)
      written = (error) => {
        signal.removeEventListener('abort', leave)
        this.#count(-bytes)
        if (!error) this.#taken += bytes
        if (error && !signal.aborted) reject(error)
        else resolve(!signal.aborted)
      }
    })
    return { written, taken }
  }

  /** Ends the call at once. gRPC's own end waits until the client has taken everything before it. */
  cut(): void {
    this.#http2?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #count(bytes: number): void {
    const connection = this.#connection
    if (connection) untaken.set(connection, (untaken.get(connection) ?? 0) + bytes)
  }
}
