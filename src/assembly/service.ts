import type { Settings } from '../config/options.js'
import type { FreshCache } from '../freshness/fresh-cache.js'
import type { PackCache } from '../freshness/pack-cache.js'
import type { Git } from '../git/process/git.js'
import { FillReports } from '../origin/fill-reports.js'
import { GitBackend } from '../origin/disk/git-backend.js'
import { PackNames } from '../origin/disk/pack-names.js'
import { PackReports } from '../origin/packs/pack-reports.js'
import { PackService } from '../origin/packs/pack-service.js'
import { RefListings } from '../origin/ref-listings.js'
import { DiskLeases } from '../origin/disk/disk-leases.js'
import { DiskOrigin } from '../origin/disk/disk-origin.js'
import { DiskPacks } from '../origin/disk/disk-packs.js'
import { DiskRefs } from '../origin/disk/disk-refs.js'
import type { Origin } from '../origin/origin.js'
import { ServedRepositories } from '../origin/disk/served-repositories.js'
import { ServingConfigs } from '../origin/disk/serving-configs.js'
import type { UnservedNotices } from '../origin/disk/unserved-notices.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Freshness } from './freshness.js'
import type { Limits } from './limits.js'

export interface ServiceParts {
  readonly git: Git
  readonly freshness: Pick<Freshness, 'observer' | 'leases' | 'modes'>
  readonly freshCache: FreshCache
  readonly packCache: PackCache
  readonly limits: Pick<Limits, 'limiter' | 'backOff' | 'processStalls'>
  readonly notices: UnservedNotices
  readonly metrics: Metrics
  readonly log: Log
}

/** What HTTP and gRPC answer from. */
export interface Services {
  /** Answers from the cache. */
  readonly origin: Origin
  /** Answers of `git http-backend`. */
  readonly backend: GitBackend
  readonly listings: RefListings
}

export function openServices(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  { git, freshness, freshCache, packCache, limits, notices, metrics, log }: ServiceParts,
): Services {
  const { observer, leases, modes } = freshness
  const { limiter, backOff, processStalls } = limits
  const exportAll = settings.exportAll ?? environment['GIT_HTTP_EXPORT_ALL'] !== undefined
  const served = new ServedRepositories({
    exportAll,
    observer,
    servingConfigs: new ServingConfigs({ git, backOff }),
    notices,
  })
  const listings = new RefListings(settings.hotMaxBytes)
  const fillReports = new FillReports({ backOff, metrics, log })
  const refs = new DiskRefs({
    git,
    observer,
    served,
    cache: freshCache,
    listings,
    fillReports,
    limiter,
    backOff,
  })
  const packs = new PackService({
    enabled: settings.packs,
    source: new DiskPacks({ git, served, names: new PackNames({ served, refs }) }),
    cache: packCache,
    fillReports,
    reports: new PackReports(metrics),
    backOff,
  })
  const backend = new GitBackend({
    exportAll,
    git,
    observer,
    leases: new DiskLeases({ leases, modes }),
    processStalls,
    metrics,
  })
  return { origin: new DiskOrigin({ refs, packs }), backend, listings }
}
