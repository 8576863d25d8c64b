import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { timerMaxMs } from '../../../limits/clock.js'
import type { Connection } from './connection.js'
import { isReset, type TimeLimits } from './failures.js'

export interface ExchangeOptions extends TimeLimits {
  readonly dispatcher: Dispatcher
  readonly origin: string
  /** Path and query. */
  readonly path: string
  readonly method: string
  readonly headers: Record<string, string | string[]>
  readonly body: Buffer | Readable | undefined
  readonly signal: AbortSignal
  /** Returns what an error of undici is for the caller. */
  readonly failure: (error: Error) => Error
  /** Called once, when the connection is free or closed. @param hasHead had the head of the response arrived? */
  readonly ended: (hasHead: boolean) => void
}

/** The head of a response as it came, and its body. */
export interface ExchangeResponse {
  readonly status: number
  readonly statusText: string | undefined
  /** Alternating names and values. */
  readonly headers: string[]
  readonly body: Readable
}

/** Schemes that authenticate a request by itself. */
const ofRequest = /^(?:basic|bearer|digest|token)(?: |$)/i

/** May credentials authenticate the connection, as those of NTLM and Negotiate do (RFC 4559, section 6)? */
const isOfConnection = (authorization: string | string[] | undefined): boolean =>
  authorization !== undefined && [authorization].flat().some((value) => !ofRequest.test(value))

/** One request and its response, over whichever connection is free. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly response: Promise<ExchangeResponse>
  readonly #options: ExchangeOptions
  readonly #abort: () => void
  #resolve!: (response: ExchangeResponse) => void
  #reject!: (error: unknown) => void
  #controller: Dispatcher.DispatchController | undefined
  #connection: Connection | undefined
  #body: ResponseBody | undefined
  #isEnded = false
  /** Was it sent over a connection that an earlier request had used? */
  #isReused = false
  /** Has a byte of the response arrived? */
  #isAnswered = false
  /** Was its connection reset or closed? */
  #isReset = false
  /** Does the response end where its connection ends? */
  #endsWithConnection = false

  constructor(options: ExchangeOptions) {
    this.#options = options
    const { dispatcher, signal, origin, path, method, headers, body, headMs, silenceMs } = options
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#abort = () => this.#stop(signal.reason as Error)
    signal.addEventListener('abort', this.#abort)
    const dispatch = {
      ...{ origin, path, method, headers, body: body ?? null },
      ...{ headersTimeout: timeoutOf(headMs), bodyTimeout: timeoutOf(silenceMs) },
      // Requests are never pipelined, so none is sent twice by undici.
      idempotent: false,
      // Whatever else is sent over a connection that a client has authenticated is taken for that client's.
      ...(isOfConnection(headers['authorization']) ? { reset: true } : {}),
      taken: (connection: Connection) => (this.#connection = connection),
    }
    if (signal.aborted) this.#abort()
    else dispatcher.dispatch(dispatch, this)
  }

  /** May the failed request be sent again: was a connection that had been idle reset before any byte of a response? */
  get isReplayable(): boolean {
    return this.#isReused && !this.#isAnswered && this.#isReset
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    this.#isReused = this.#connection?.countRequest() ?? false
    // It was given up while it waited for a connection.
    if (this.#isEnded) controller.abort(new Error('given up'))
  }

  onResponseStarted(): void {
    this.#isAnswered = true
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    parsed: Record<string, string | string[] | undefined>,
    statusText?: string,
  ): void {
    if (status < 200) return
    const headers = (controller.rawHeaders as Buffer[]).map((each) => each.toString('latin1'))
    this.#endsWithConnection =
      parsed['content-length'] === undefined && parsed['transfer-encoding'] === undefined
    this.#body = new ResponseBody(
      () => controller.resume(),
      (error) => this.#stop(error),
    )
    this.#resolve({ status, statusText: statusText || undefined, headers, body: this.#body })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isEnded || this.#body?.push(chunk) === false) controller.pause()
  }

  onResponseEnd(): void {
    if (this.#isEnded) return
    // undici takes a reset for the end of a response that ends where its connection ends.
    const reset = this.#endsWithConnection ? this.#connection?.socketError : undefined
    if (reset) return this.#fail(reset)
    this.#body!.isWhole = true
    this.#body!.push(null)
    this.#end()
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#fail(error)
  }

  #fail(error: Error): void {
    if (this.#isEnded) return
    this.#isReset = isReset(error)
    this.#stop(this.#options.failure(error))
  }

  #stop(error: Error): void {
    if (this.#isEnded) return
    this.#end()
    this.#reject(error)
    this.#body?.destroy(error)
    const { body } = this.#options
    if (body instanceof Readable) body.destroy(error)
    this.#controller?.abort(error)
  }

  #end(): void {
    this.#isEnded = true
    this.#options.signal.removeEventListener('abort', this.#abort)
    this.#options.ended(this.#body !== undefined)
  }
}

/** undici takes no longer time limits, and 0 for none. */
const timeoutOf = (ms: number): number => Math.min(Math.ceil(ms), timerMaxMs)

class ResponseBody extends Readable {
  /** Has all of it arrived? */
  isWhole = false
  readonly #resume: () => void
  readonly #giveUp: (error: Error) => void

  constructor(resume: () => void, giveUp: (error: Error) => void) {
    super()
    this.#resume = resume
    this.#giveUp = giveUp
    // A caller that does not read the body need not listen; one that reads it is told even so.
    this.on('error', () => {})
  }

  override _read(): void {
    this.#resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.isWhole) this.#giveUp(error ?? new Error('the response was not read to its end'))
    callback(error)
  }
}
