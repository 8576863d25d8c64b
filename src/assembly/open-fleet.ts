import type { Settings } from '../config/options/options.js'
import type { RepositoriesRoot } from '../git/state/repositories-root.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Tracing } from '../telemetry/tracing/tracing.js'
import type { Fleet } from './fleet/fleet.js'
import { leaseEvents } from './leases.js'
import type { WorkerContext } from './worker-context/context.js'

/** Loads what fleets need only where there is one. @throws ConfigError */
export async function openFleetOf(
  settings: Settings,
  worker: WorkerContext | undefined,
  root: RepositoriesRoot | undefined,
  changed: (subject: string) => void,
  metrics: Metrics,
  log: Log,
  tracing: Tracing | undefined,
): Promise<Fleet | undefined> {
  if (!worker && !settings.fleet) return undefined
  const { placeOf } = await import('./fleet/place.js')
  const { openFleet } = await import('./fleet/fleet.js')
  const place = await placeOf(settings, worker)
  if (!place) return undefined
  const faults = settings.upstream
    ? (await import('../origin/upstream/upstream-faults.js')).upstreamFaults
    : []
  return openFleet(settings, place, root, leaseEvents(metrics, log, changed), faults, metrics, log, tracing)
}
