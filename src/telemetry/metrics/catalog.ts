import { accessMetrics } from './access.js'
import type { Definitions } from './definition.js'
import { fillMetrics } from './fills.js'
import { fleetMetrics } from './fleet.js'
import { freshnessMetrics } from './freshness.js'
import { logMetrics } from './log.js'
import { packMetrics } from './packs.js'
import { processMetrics } from './processes.js'
import { programMetrics } from './program.js'
import { connectionMetrics, requestMetrics } from './requests.js'
import { storeMetrics } from './store.js'
import { upstreamMetrics } from './upstream.js'
import { workerMetrics } from './workers.js'

/** Every metric of refstream, by subject, in the order of docs/metrics.md. */
export const metricSubjects: Readonly<Record<string, Definitions>> = {
  Program: programMetrics,
  Requests: requestMetrics,
  Connections: connectionMetrics,
  Fills: fillMetrics,
  Packs: packMetrics,
  Upstreams: upstreamMetrics,
  Workers: workerMetrics,
  Fleet: fleetMetrics,
  'Git processes': processMetrics,
  'Freshness and leases': freshnessMetrics,
  Cache: storeMetrics,
  'Access and administration': accessMetrics,
  Log: logMetrics,
}
