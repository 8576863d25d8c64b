import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ProtocolVersion } from '../git/protocol.js'
import type { Metrics } from '../telemetry/metrics.js'

/** What became of a request, as `refstream_requests_total` counts it. */
export type Outcome =
  | ('hit' | 'joined' | 'filled' | 'gathered' | 'passthrough')
  | ('not_found' | 'forbidden' | 'rejected' | 'aborted' | 'error')

/** One request and its response, with what is told about them afterwards. */
export class Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly startedAt = performance.now()
  /** Aborts when the client has left before the end of its answer. */
  readonly signal: AbortSignal
  /**
   * Aborts when the client has left before the end of its request. A push that has arrived whole is carried out to its
   * end, hooks and all, whoever still listens.
   */
  readonly leftEarly: AbortSignal
  kind = 'other'
  protocol: `v${ProtocolVersion}` = 'v0'
  outcome: Outcome = 'error'
  repository: string | undefined
  sentBytes = 0
  readonly #metrics: Metrics

  constructor(request: IncomingMessage, response: ServerResponse, metrics: Metrics) {
    this.request = request
    this.response = response
    this.#metrics = metrics
    // A connection that breaks is told by 'close'; an 'error' without a listener would end the program.
    request.on('error', () => {})
    response.on('error', () => {})
    const left = new AbortController()
    this.signal = left.signal
    const leftEarly = new AbortController()
    this.leftEarly = leftEarly.signal
    left.signal.addEventListener('abort', () => {
      if (!request.complete) leftEarly.abort(left.signal.reason)
    })
    const { socket } = request
    const leave = (): void => {
      if (!response.writableFinished) left.abort(new Error('the client has left'))
    }
    // A response that waits for an earlier one on its connection is not told when that closes.
    socket.once('close', leave)
    response.once('close', () => {
      socket.off('close', leave)
      leave()
    })
  }

  /** Hands bytes to the client. false: it takes no more now, wait for `drained`. */
  write(chunk: Buffer): boolean {
    if (this.sentBytes === 0) {
      const seconds = (performance.now() - this.startedAt) / 1000
      this.#metrics.firstByteSeconds.observe({ door: 'http', kind: this.kind }, seconds)
    }
    this.sentBytes += chunk.length
    return this.response.write(chunk)
  }

  /** Counts bytes that compression has spared the line. */
  countSaved(encoding: string, bytes: number): void {
    if (this.request.method !== 'HEAD') this.#metrics.compressionSaved.inc({ door: 'http', encoding }, bytes)
  }

  /** Resolves when the client takes more bytes; false if it has left. */
  drained(): Promise<boolean> {
    const { response, signal } = this
    if (signal.aborted || response.destroyed) return Promise.resolve(false)
    return new Promise((resolve) => {
      const done = (): void => {
        response.off('drain', done)
        signal.removeEventListener('abort', done)
        resolve(!signal.aborted)
      }
      response.on('drain', done)
      signal.addEventListener('abort', done)
    })
  }

  /**
   * Ends a response that cannot be finished so that its client sees it (R4): the connection closes before the length or
   * the last chunk that was announced. HTTP/1.0 announces neither, so there it is reset.
   */
  breakOff(): void {
    const { request, response } = this
    if (request.httpVersion === '1.0') response.socket?.resetAndDestroy()
    else response.destroy()
  }

  /** Counts the exchange, once all of its response has been handed over. */
  count(): void {
    const { kind, protocol, outcome } = this
    this.#metrics.requests.inc({ door: 'http', kind, protocol, outcome })
    if (this.sentBytes > 0) this.#metrics.sentBytes.inc({ door: 'http', kind }, this.sentBytes)
  }
}
