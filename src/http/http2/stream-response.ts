import type { OutgoingHttpHeader } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import { Writable } from 'node:stream'
import type { StallableClient } from '../../limits/connection/stall-detector.js'
import type { HttpResponse } from '../message.js'
import { responseFields, withGiven } from './header-fields.js'

/**
 * Bytes that are handed to a stream at once. Node tells when all of them have been taken and not how far it is: a client
 * that takes less than this in --client-idle-seconds seems idle.
 */
const pieceBytes = 64 * 1024
const bodiless = new Set([204, 205, 304])

/**
 * The response to a request that came in a stream of HTTP/2. What is written goes out in pieces, each when the last has been
 * taken, so that it is known what the client takes.
 */
export class StreamResponse extends Writable implements HttpResponse, StallableClient {
  statusCode = 200
  statusMessage = ''
  readonly #stream: ServerHttp2Stream
  readonly #isHead: boolean
  readonly #own: string[] = []
  #headersSent = false
  /** Does nothing follow its head? */
  #isBodiless = false
  #isEnding = false
  #isBroken = false
  #taken = 0

  /** @param isHead does it answer a HEAD? */
  constructor(stream: ServerHttp2Stream, isHead: boolean) {
    super({ decodeStrings: true, highWaterMark: pieceBytes })
    this.#stream = stream
    this.#isHead = isHead
    stream.once('aborted', () => this.destroy())
    stream.once('close', () => {
      if (!this.#isEnding || !stream.writableFinished) this.destroy()
    })
  }

  get headersSent(): boolean {
    return this.#headersSent
  }

  taken(): number {
    return this.#taken
  }

  owed(): boolean {
    return this.writableLength > 0
  }

  setHeader(name: string, value: string): void {
    this.#own.push(name, value)
  }

  writeHead(status: number, text?: string | OutgoingHttpHeader[], headers?: OutgoingHttpHeader[]): this {
    const given = (Array.isArray(text) ? text : headers) ?? []
    const fields = responseFields(status, withGiven(this.#own, given))
    // RFC 9110, section 8.6.
    if (status === 204) delete fields['content-length']
    this.#isBodiless = this.#isHead || bodiless.has(status) || fields['content-length'] === '0'
    // A client that has gone gets nothing, as in HTTP/1.
    if (!this.#isGone) this.#stream.respond(fields, { endStream: this.#isBodiless })
    this.statusCode = status
    this.#headersSent = true
    return this
  }

  writeContinue(): void {
    if (!this.#isGone && !this.#headersSent) this.#stream.additionalHeaders({ ':status': 100 })
  }

  get #isGone(): boolean {
    return this.#stream.closed || this.#stream.destroyed
  }

  override end(...last: unknown[]): this {
    this.#isEnding = true
    return super.end(...(last as []))
  }

  /** Resets the stream after what was handed over (R4): its client sees an error. */
  breakOff(): void {
    this.#isBroken = true
    if (this.#isEnding) resetStream(this.#stream, 'the response was broken off')
    else super.end()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send([chunk], done)
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#isBroken) {
      resetStream(this.#stream, 'the response was broken off')
      done(new Error('the response was broken off'))
      return
    }
    if (!this.#headersSent) this.writeHead(this.statusCode)
    const stream = this.#stream
    if (this.#isBodiless || stream.writableFinished) done()
    else stream.end(done)
  }

  /** Sends chunks piece by piece. */
  #send(chunks: Buffer[], done: (error?: Error | null) => void): void {
    if (!this.#headersSent) this.writeHead(this.statusCode)
    if (this.#isBodiless) {
      done()
      return
    }
    const total = chunks.reduce((sum, { length }) => sum + length, 0)
    let left = total
    const next = (): void => {
      const piece = takeBytes(chunks, pieceBytes)
      const bytes = piece.reduce((sum, { length }) => sum + length, 0)
      const isLast = this.#isEnding && bytes === left && this.writableLength === total
      this.#write(piece, isLast, (error) => {
        left -= bytes
        if (error) done(error)
        else {
          this.#taken += bytes
          if (left > 0 && !this.#isGone) next()
          else done()
        }
      })
    }
    next()
  }

  /** @param isLast the end of the stream goes out with it, in one frame */
  #write(piece: readonly Buffer[], isLast: boolean, taken: (error?: Error | null) => void): void {
    const stream = this.#stream
    if (this.#isGone) return
    if (piece.length > 1) stream.cork()
    piece.forEach((chunk, index) => {
      if (index < piece.length - 1) stream.write(chunk)
      else if (isLast) stream.end(chunk, taken)
      else stream.write(chunk, taken)
    })
    if (piece.length > 1) stream.uncork()
  }
}

/**
 * Resets a stream at once (INTERNAL_ERROR), and drops what was handed to it. `close()` with an error would send the end of the
 * stream first, if all that was handed to it has been taken: a short answer would seem whole.
 */
export function resetStream(stream: ServerHttp2Stream, reason: string): void {
  stream.destroy(new Error(reason))
}

/** Takes up to this many bytes from the beginning of a list of chunks. */
function takeBytes(chunks: Buffer[], most: number): Buffer[] {
  const taken: Buffer[] = []
  let left = most
  for (let chunk = chunks[0]; chunk && left > 0; chunk = chunks[0]) {
    taken.push(chunk.subarray(0, left))
    if (chunk.length > left) chunks[0] = chunk.subarray(left)
    else chunks.shift()
    left -= chunk.length
  }
  return taken
}
