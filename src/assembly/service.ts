import type { Settings } from '../config/options.js'
import type { FreshCache } from '../freshness/fresh-cache.js'
import type { PackCache } from '../freshness/pack-cache.js'
import type { Git } from '../git/process/git.js'
import { FillReports } from '../service/fill-reports.js'
import { GitBackend } from '../service/git-backend.js'
import { PackNames } from '../service/packs/pack-names.js'
import { PackReports } from '../service/packs/pack-reports.js'
import { PackService } from '../service/packs/pack-service.js'
import { RefListings } from '../service/ref-listings.js'
import { RefService } from '../service/ref-service.js'
import { ServedRepositories } from '../service/served-repositories.js'
import { ServingConfigs } from '../service/serving-configs.js'
import type { UnservedNotices } from '../service/unserved-notices.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Freshness } from './freshness.js'
import type { Limits } from './limits.js'

export interface ServiceParts {
  readonly git: Git
  readonly freshness: Pick<Freshness, 'observer' | 'leaseService'>
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
  readonly service: RefService
  readonly packService: PackService
  /** Answers of `git http-backend`. */
  readonly backend: GitBackend
  readonly listings: RefListings
}

export function openServices(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  { git, freshness, freshCache, packCache, limits, notices, metrics, log }: ServiceParts,
): Services {
  const { observer, leaseService } = freshness
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
  const service = new RefService({
    git,
    observer,
    served,
    cache: freshCache,
    listings,
    fillReports,
    limiter,
    backOff,
  })
  const packService = new PackService({
    enabled: settings.packs,
    git,
    served,
    names: new PackNames({ served, refs: service }),
    cache: packCache,
    fillReports,
    reports: new PackReports(metrics),
    backOff,
  })
  const backend = new GitBackend({ exportAll, git, observer, leases: leaseService, processStalls, metrics })
  return { service, packService, backend, listings }
}
