import type { Span, SpanContext } from '@opentelemetry/api'
import { headersOf } from './trace-parent.js'

/** Ends of a wait that lasts until its request has the first byte of its answer. */
export interface FirstByteWaits {
  add(wait: Span): void
}

/** Work that is part of a trace: what it does next becomes children of its span, if that is sampled. */
export class Scope {
  readonly span: Span
  /** The request that the work is for; undefined: a fill, which is for all its followers. */
  readonly waits: FirstByteWaits | undefined

  constructor(span: Span, waits?: FirstByteWaits) {
    this.span = span
    this.waits = waits
  }

  get isSampled(): boolean {
    return this.span.isRecording()
  }

  get context(): SpanContext {
    return this.span.spanContext()
  }

  /** Headers for requests to other servers. */
  get headers(): Record<string, string> {
    return headersOf(this.context)
  }

  /** Fields of log lines, by the names that OpenTelemetry gives them. */
  get ids(): LogIds {
    const { traceId, spanId } = this.context
    return { trace_id: traceId, span_id: spanId }
  }
}

export interface LogIds {
  readonly trace_id: string
  readonly span_id: string
}
