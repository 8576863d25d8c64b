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
    response.once('close', () => {
      if (!response.writableFinished) left.abort(new Error('the client has left'))
    })
  }

  /** Hands bytes to the client; false: wait for `drained` before the next. */
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

  /** Counts the exchange, once its response is over. */
  count(): void {
    const { kind, protocol, outcome } = this
    this.#metrics.requests.inc({ door: 'http', kind, protocol, outcome })
    if (this.sentBytes > 0) this.#metrics.sentBytes.inc({ door: 'http', kind }, this.sentBytes)
  }
}
