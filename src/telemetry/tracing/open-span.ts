import { SpanStatusCode, type Attributes, type Span } from '@opentelemetry/api'
import { errorTypeOf } from './error-type.js'

/** A span that has begun. Its methods do nothing once it has ended. */
export class OpenSpan {
  readonly #span: Span

  constructor(span: Span) {
    this.#span = span
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes)
  }

  end(): void {
    this.#span.end()
  }

  /** Ends it as failed. @param type one of few values */
  fail(type: string): void {
    this.#span.setAttribute('error.type', type)
    this.#span.setStatus({ code: SpanStatusCode.ERROR })
    this.#span.end()
  }

  /** Ends it when what the work has returned settles, or at once. @returns the same */
  endWith<T>(result: T): T {
    if (!(result instanceof Promise)) this.end()
    else
      result.then(
        () => this.end(),
        (error: unknown) => this.fail(errorTypeOf(error)),
      )
    return result
  }
}
