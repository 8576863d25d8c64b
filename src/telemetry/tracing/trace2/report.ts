import {
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
  type Attributes,
  type Span,
  type Tracer,
} from '@opentelemetry/api'
import { trace2Events } from './trace2-events.js'
import type { Trace2File } from './trace2-files.js'
import { trace2Spans, type Trace2Span } from './trace2-spans.js'

/**
 * Makes spans below that of a Git process, which is gone, from what Git has told. Never rejects.
 * @param endedAt the end of what has not told its own, in milliseconds since 1970
 * @returns what is to be said of the process: whether something was left out
 */
export async function reportTrace2(
  tracer: Tracer,
  process: Span,
  file: Trace2File,
  endedAt: number,
): Promise<Attributes> {
  const { text, isCut } = await file.take()
  const { spans, dropped } = trace2Spans([...trace2Events(text)])
  const made = new Map<Trace2Span, Span>()
  for (const each of spans) {
    const { name, parent, begin, end, code } = each
    const above = (parent && made.get(parent)) ?? process
    const span = tracer.startSpan(name, { startTime: [...begin] }, trace.setSpan(ROOT_CONTEXT, above))
    made.set(each, span)
    if (code !== undefined) span.setAttribute('process.exit.code', code)
    if (code !== undefined && code !== 0) span.setStatus({ code: SpanStatusCode.ERROR })
    span.end(end ? [...end] : endedAt)
  }
  return {
    ...(dropped > 0 && { 'refstream.trace2.dropped_spans': dropped }),
    ...(isCut && { 'refstream.trace2.cut': true }),
  }
}
