import type { ServerWritableStream } from '@grpc/grpc-js'
import { constants } from 'node:http2'
import type { Client } from '../limits/client-watch.js'
import { http2Stream } from './http2-stream.js'

/**
 * Bytes of a message. Measured with test/bench/grpc.mjs: at 32 KiB a client with HTTP/2's default window of 64 KB gets a fifth
 * less in the same time, at 128 KiB nobody gets more, and a client that stops reading holds so much memory.
 */
export const messageSize = 64 * 1024

/**
 * A server stream that is sent one message at a time: the next is made when HTTP/2's flow control has let the last one go.
 * gRPC's own queue would take sixteen, for clients that read nothing as well.
 */
export class Sender<Response> implements Client {
  readonly #stream: ServerWritableStream<unknown, Response>
  readonly #signal: AbortSignal
  #given = 0
  #taken = 0

  /** @param signal the client has left */
  constructor(stream: ServerWritableStream<unknown, Response>, signal: AbortSignal) {
    this.#stream = stream
    this.#signal = signal
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
        if (!error) this.#taken += bytes
        if (error && !signal.aborted) reject(error)
        else resolve(!signal.aborted)
      }
    })
    return { written, gone }
  }

  /** Ends the call at once, whatever the client has not taken. gRPC can only end it behind that. */
  cut(): void {
    const { call } = this.#stream as unknown as { call?: unknown }
    http2Stream(call)?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }
}

/** A chunk in pieces of a message's size: views, nothing is copied. */
export function* pieces(chunk: Buffer): Generator<Buffer> {
  for (let at = 0; at < chunk.length; at += messageSize) yield chunk.subarray(at, at + messageSize)
}
