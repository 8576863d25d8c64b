import type { ServerResponse } from 'node:http'
import type { Clock } from '../../../limits/clock.js'
import { controlFrame, dataHeader, dataMax, signFrame, type ControlKind } from '../protocol/frames.js'
import type { Prover } from '../protocol/proof.js'

export interface AnswerStreamOptions {
  readonly prover: Prover
  /** The proof of the request. */
  readonly request: Buffer
  readonly clock: Clock
  /** Milliseconds for which an asking node may read nothing before its connection is closed. */
  readonly stallMs: number
}

/** Sends an answer to another node as frames (protocol/frames.ts). */
export class AnswerStream {
  readonly #response: ServerResponse
  readonly #options: AnswerStreamOptions
  readonly #abort = new AbortController()
  #ended = false

  /** @param response whose head was sent */
  constructor(response: ServerResponse, options: AnswerStreamOptions) {
    this.#response = response
    this.#options = options
    // Without a listener, a connection that breaks would end the program.
    response.on('error', () => {})
    response.once('close', () => {
      if (!response.writableFinished) this.#abort.abort(new Error('the asking node has gone'))
    })
  }

  /** Aborts when the connection closes before the answer's end. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Sends a sign of life, unless other bytes still wait to be sent. */
  sign(): void {
    const { writable, writableLength } = this.#response
    if (writable && !this.#ended && writableLength === 0) this.#response.write(signFrame)
  }

  /** Sends a frame behind which others follow. */
  begin(kind: ControlKind, value: unknown): void {
    this.#response.write(this.#frame(kind, value))
  }

  /** Sends bytes of the entry, and resolves when more may be sent. false: the asking node has gone. */
  async send(bytes: Buffer): Promise<boolean> {
    for (let at = 0; at < bytes.length; at += dataMax) {
      if (this.signal.aborted) return false
      const part = bytes.subarray(at, at + dataMax)
      this.#response.cork()
      this.#response.write(dataHeader(part.length))
      const isTaken = this.#response.write(part)
      this.#response.uncork()
      if (!isTaken && this.#response.writableNeedDrain) await this.#next('drain')
    }
    return !this.signal.aborted
  }

  /** Sends the last frame. @throws RangeError if it is too large; then nothing is sent */
  end(kind: ControlKind, value: unknown): void {
    const frame = this.#frame(kind, value)
    this.#ended = true
    this.#response.end(frame)
  }

  /** Resolves when all has been sent, or the connection has closed. */
  async finished(): Promise<void> {
    if (!this.#response.writableFinished && !this.#response.destroyed) await this.#next('finish')
  }

  /** Breaks the answer off: the asking node sees that it is not whole. */
  break(): void {
    this.#response.destroy()
  }

  #frame(kind: ControlKind, value: unknown): Buffer {
    const json = Buffer.from(JSON.stringify(value))
    const { prover, request } = this.#options
    return controlFrame(kind, prover.answer(request, kind, json), json)
  }

  /** Waits for an event, or for the connection's end, which comes at last if the asking node reads nothing. */
  #next(event: 'drain' | 'finish'): Promise<void> {
    const response = this.#response
    return new Promise((resolve) => {
      const { clock, stallMs } = this.#options
      const stop = clock.after(stallMs, () => response.destroy())
      const done = (): void => {
        stop()
        response.off(event, done).off('close', done)
        resolve()
      }
      response.on(event, done).on('close', done)
    })
  }
}
