import { printablePath } from '../../../telemetry/printable-path.js'
import { errorTypeOf } from '../../../telemetry/tracing/error-type.js'
import type { Tracing } from '../../../telemetry/tracing/tracing.js'
import { UpstreamUnavailable } from './errors.js'
import type { ExchangeResponse } from './exchange.js'
import type { Target } from './targets.js'

/**
 * Sends a request to an upstream in a client span, which ends with the body of the response. What a query or a header says is
 * left out: it may be a credential.
 * @param send sends it with these headers besides
 */
export function tracedRequest(
  tracing: Tracing,
  method: string,
  { url, path }: Target,
  send: (headers: Record<string, string>) => Promise<ExchangeResponse>,
): Promise<ExchangeResponse> {
  const attributes = {
    'http.request.method': method,
    'server.address': url.hostname,
    'server.port': Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
    'url.full': url.origin + printablePath(path),
  }
  return tracing.client(`${method} upstream`, attributes, async (headers, span) => {
    const response = await send(headers).catch((error: unknown) => {
      const status = error instanceof UpstreamUnavailable ? error.status : undefined
      if (status !== undefined) span?.set({ 'http.response.status_code': status })
      throw error
    })
    if (!span) return response
    const { status, body } = response
    span.set({ 'http.response.status_code': status })
    body.once('close', () => {
      if (body.errored) span.fail(errorTypeOf(body.errored))
      else if (status >= 400) span.fail(String(status))
      else span.end()
    })
    return response
  })
}
