import { SpanStatusCode, type Attributes, type Span } from '@opentelemetry/api'
import { Scope, type LogIds } from './scope.js'

/** What is told of a request at its end. */
export interface EndedRequest {
  /** Of few values, by OpenTelemetry's rules for the protocol. */
  readonly spanName: string
  readonly attributes: Attributes
  /** Why it counts as failed, in few values; undefined: it does not. A client's mistake is no failure of the server. */
  readonly errorType: string | undefined
}

/** The span of a sampled request, and of its wait for a fill, which ends with the first byte of the answer. */
export class RequestTrace {
  readonly scope: Scope
  readonly #span: Span
  #wait: Span | undefined

  constructor(span: Span) {
    this.#span = span
    this.scope = new Scope(span, { add: (wait) => this.#waits(wait) })
  }

  get ids(): LogIds {
    return this.scope.ids
  }

  #waits(wait: Span): void {
    this.firstByte()
    this.#wait = wait
  }

  /** The first byte of the answer is about to be sent. */
  firstByte(): void {
    this.#wait?.end()
    this.#wait = undefined
  }

  end({ spanName, attributes, errorType }: EndedRequest): void {
    this.firstByte()
    const span = this.#span
    span.updateName(spanName)
    span.setAttributes(attributes)
    if (errorType !== undefined) {
      span.setAttribute('error.type', errorType)
      span.setStatus({ code: SpanStatusCode.ERROR })
    }
    span.end()
  }
}
