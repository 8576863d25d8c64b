import type { FreshCache } from '../../freshness/fresh-cache.js'
import type { MutatorLeases } from '../../freshness/leases/mutator-leases.js'
import type { PackCache } from '../../freshness/pack-cache.js'
import type { Git } from '../../git/process/git.js'
import type { Installation } from '../../git/process/installation.js'
import type { FillReports } from '../../origin/faults/fill-reports.js'
import type { PackReports } from '../../origin/packs/pack-reports.js'
import type { RefListings } from '../../origin/ref-listings.js'
import type { StreamCache } from '../../streamcache/index.js'
import type { Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import type { FleetParts } from '../fleet/origin-runs.js'
import type { Limits } from '../limits/limits.js'

/** What every origin is built from. */
export interface OriginParts {
  readonly git: Git
  /** What is known of the Git in use. */
  readonly installation: Promise<Installation>
  readonly leases: MutatorLeases
  readonly cache: StreamCache
  readonly freshCache: FreshCache
  readonly packCache: PackCache
  readonly listings: RefListings
  readonly fillReports: FillReports
  readonly packReports: PackReports
  readonly limits: Limits
  /** undefined: this process is no node of a fleet. */
  readonly fleet?: FleetParts | undefined
  readonly metrics: Metrics
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
  /** Called when an upstream has answered, in whatever way. */
  readonly answered?: ((upstream: string) => void) | undefined
  readonly log: Log
}
