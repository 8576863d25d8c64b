import type { ServerWritableStream } from '@grpc/grpc-js'
import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { StallableClient } from '../../limits/connection/stall-detector.js'
import { http2Stream } from './http2-stream.js'

/**
 * Bytes of a message. Measured with test/bench/grpc.mjs: at 32 KiB a client with HTTP/2's default window of 64 KB gets a fifth
 * less in the same time, at 128 KiB nobody gets more, and a client that stops reading holds so much memory.
 */
export const messageSize = 64 * 1024

/** Bytes of messages that one connection has not taken, beyond which further ones are small. */
const connectionBytes = 4 * 1024 * 1024
/** Bytes of a small one: of HTTP/2's frames, so that others on the connection lose little. */
const smallSize = 16 * 1024

/** Bytes of messages handed over that each connection has not taken. */
const untaken = new WeakMap<Http2Session, number>()

/**
 * A server stream that is sent one message at a time: the next is made when HTTP/2's flow control has let the last one go.
 * gRPC's own queue would take sixteen, for clients that read nothing as well.
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
    return http2Stream((this.#stream as unknown as { call?: unknown }).call)
  }

  /** Bytes that the next message shall have. */
  get messageSize(): number {
    const bytes = (this.#connection && untaken.get(this.#connection)) ?? 0
    return bytes < connectionBytes ? messageSize : smallSize
  }

  /** Payload bytes of messages handed over. */
  get given(): number {
    return this.#given
  }

  taken(): number {
    return this.#taken
  }

  owed(): boolean {
    return this.#taken < this.#given
  }

  /** Resolves when the client takes more; false: it has left. @throws if the message cannot be sent */
  send(message: Response, bytes: number): Promise<boolean> {
    if (this.#signal.aborted) return Promise.resolve(false)
    this.#given += bytes
    this.#count(bytes)
    const { written, gone } = this.#wait(bytes)
    this.#stream.write(message, written)
    return gone
  }

  /** Apart from send(), so that what waits here does not keep the message, which gRPC has copied. */
  #wait(bytes: number): { written: (error?: Error | null) => void; gone: Promise<boolean> } {
    const signal = this.#signal
    let written!: (error?: Error | null) => void
    const gone = new Promise<boolean>((resolve, reject) => {
      const left = (): void => resolve(false)
      signal.addEventListener('abort', left)
      written = (error) => {
        signal.removeEventListener('abort', left)
        this.#count(-bytes)
        if (!error) this.#taken += bytes
        if (error && !signal.aborted) reject(error)
        else resolve(!signal.aborted)
      }
    })
    return { written, gone }
  }

  /** Ends the call at once, whatever the client has not taken. gRPC can only end it behind that. */
  cut(): void {
    this.#http2?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #count(bytes: number): void {
    const connection = this.#connection
    if (connection) untaken.set(connection, (untaken.get(connection) ?? 0) + bytes)
  }
}

/** A chunk in pieces of the size that a message then shall have: views, nothing is copied. */
export function* pieces(chunk: Buffer, to: { readonly messageSize: number }): Generator<Buffer> {
  for (let at = 0; at < chunk.length;) {
    const piece = chunk.subarray(at, at + to.messageSize)
    at += piece.length
    yield piece
  }
}
