import { createTraceState, TraceFlags, type SpanContext } from '@opentelemetry/api'

/** Headers of a request; their names are in lower case. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

/** Version, trace id, id of the caller's span, and flags (W3C Trace Context, section 3.2). */
const form = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(-.*)?$/

/** Returns the span that a request's `traceparent` names; undefined: it has none, or one that is not valid. */
export function parentOf({ traceparent, tracestate }: Headers): SpanContext | undefined {
  const [, version, traceId, spanId, flags, more] =
    (typeof traceparent === 'string' && form.exec(traceparent)) || []
  if (traceId === undefined || spanId === undefined) return undefined
  // Later versions may have more fields.
  if (version === '00' && more !== undefined) return undefined
  return {
    ...{ traceId, spanId, isRemote: true },
    traceFlags: Number.parseInt(flags ?? '', 16) & TraceFlags.SAMPLED,
    ...(typeof tracestate === 'string' && tracestate !== '' && { traceState: createTraceState(tracestate) }),
  }
}

/** Returns the headers by which a request becomes part of a span. */
export function headersOf({ traceId, spanId, traceFlags, traceState }: SpanContext): Record<string, string> {
  const flags = traceFlags.toString(16).padStart(2, '0')
  const state = traceState?.serialize()
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(state && { tracestate: state }) }
}
