import type { MutatorLeases } from '../freshness/leases/mutator-leases.js'
import type { Modes } from '../origin/disk/observation/modes.js'
import type { DiskHelpers } from '../origin/disk/observation/disk-helpers.js'
import type { Git } from '../git/process/git.js'
import { processClasses } from '../limits/process/process-limiter.js'
import type { RefListings } from '../origin/ref-listings.js'
import type { StreamCache } from '../streamcache/index.js'
import { droppedLines, type Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Settings } from '../config/options/options.js'
import type { Limits } from './limits/limits.js'
import type { Readiness } from './readiness.js'

export interface GaugeParts {
  readonly settings: Settings
  readonly readiness: Readiness
  readonly cache: StreamCache
  readonly packs: StreamCache
  readonly listings: RefListings
  readonly git: Git
  readonly helpers: DiskHelpers
  readonly leases: MutatorLeases
  readonly modes: Modes | undefined
  readonly limits: Limits
  readonly log: Log
}

/** Registers the gauges, which read these parts when the metrics are scraped. */
export function watchGauges(metrics: Metrics, parts: GaugeParts): void {
  const { settings, readiness } = parts
  const { cache, packs, listings, git, helpers, leases, modes, limits, log } = parts
  const { limiter, gate } = limits
  metrics.watch({
    ready: () => Number(readiness.isReady),
    storeLimitBytes: () => settings.cacheMaxBytes,
    packStoreLimitBytes: () => settings.packCacheMaxBytes,
    followers: () => cache.followers + packs.followers,
    storeBytes: () => cache.storeBytes,
    storeFull: () => Number(cache.isShort || packs.isShort),
    storeEntries: () => cache.storeEntries,
    hotBytes: () => cache.hotBytes,
    listingBytes: () => listings.bytes,
    packStoreBytes: () => packs.storeBytes,
    packStoreEntries: () => packs.storeEntries,
    packHotBytes: () => packs.hotBytes,
    processesRunning: () => git.running,
    helpers: () => helpers.countByState,
    leasesOpen: () => leases.size,
    requestsUnderWay: () => gate.admitted,
    requestsWaiting: () => gate.waiting,
    requestsPipelined: () => limits.pipelined.taken,
    requestBodyBytes: () => limits.bodies.taken,
    rateLimitClients: () => limits.rates?.size ?? 0,
    processLimit: () => limiter.limit,
    processClasses: () =>
      processClasses.map((each) => ({
        class: each,
        running: limiter.running(each),
        waiting: limiter.waiting(each),
      })),
    repositories: () => modes?.countByReason() ?? [],
    logLinesDropped: () => droppedLines(log),
  })
}
