import type { FillTrace } from '../telemetry/tracing/fill-trace.js'
import type { Tracing } from '../telemetry/tracing/tracing.js'
import type { FillRequest } from './fill-request.js'
import type { PackRequest } from './pack-cache.js'

/**
 * Returns a request whose fill is traced below the work under way. A fill may begin for a request when another one's has ended,
 * or for many: what is done by this request's functions belongs to this request, and from the start of its fill to that.
 */
export function tracedFill(request: FillRequest, kind: string, tracing: Tracing): FillRequest {
  const scope = tracing.present
  const { find } = request
  let fill: FillTrace | undefined
  return {
    ...request,
    observe: () =>
      fill ? fill.within(() => request.observe()) : tracing.within(scope, () => request.observe()),
    ...(find && { find: (state) => tracing.within(scope, () => find(state)) }),
    producer: (state) => {
      const started = (fill = tracing.fill(scope, kind))
      return started.producing(started.within(() => request.producer(state)))
    },
    fillStarted: (entry, state, ended) => {
      fill?.makes(entry)
      fill?.endsWith(entry, ended)
      fill?.within(() => request.fillStarted?.(entry, state, ended))
    },
  }
}

/** The same for a pack. */
export function tracedPack(request: PackRequest, tracing: Tracing): PackRequest {
  const scope = tracing.present
  const { find } = request
  let fill: FillTrace | undefined
  const started = (): FillTrace => (fill ??= tracing.fill(scope, 'pack'))
  return {
    ...request,
    confirm: () => started().within(() => request.confirm()),
    ...(find && { find: () => tracing.within(scope, find) }),
    producer: (signal) => started().producing(request.producer)(signal),
    fillStarted: (running) => {
      const { entry, ended } = running
      started().makes(entry)
      started().endsWith(entry, ended)
      started().within(() => request.fillStarted(running))
    },
  }
}
