import type { Settings } from '../config/options.js'
import type { FreshCache } from '../freshness/fresh-cache.js'
import type { Git } from '../git/process/git.js'
import { FillReports } from '../service/fill-reports.js'
import { GitBackend } from '../service/git-backend.js'
import { RefListings } from '../service/ref-listings.js'
import { RefService } from '../service/ref-service.js'
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
  readonly limits: Pick<Limits, 'limiter' | 'backOff' | 'processStalls'>
  readonly notices: UnservedNotices
  readonly metrics: Metrics
  readonly log: Log
}

/** What HTTP and gRPC answer from. */
export interface Services {
  /** Answers from the cache. */
  readonly service: RefService
  /** Answers of `git http-backend`. */
  readonly backend: GitBackend
  readonly listings: RefListings
}

export function openServices(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  { git, freshness, freshCache, limits, notices, metrics, log }: ServiceParts,
): Services {
  const { observer, leaseService } = freshness
  const { limiter, backOff, processStalls } = limits
  const exportAll = settings.exportAll ?? environment['GIT_HTTP_EXPORT_ALL'] !== undefined
  const listings = new RefListings(settings.hotMaxBytes)
  const service = new RefService({
    exportAll,
    git,
    observer,
    cache: freshCache,
    servingConfigs: new ServingConfigs({ git, backOff }),
    listings,
    fillReports: new FillReports({ backOff, metrics, log }),
    limiter,
    backOff,
    notices,
  })
  const backend = new GitBackend({ exportAll, git, observer, leases: leaseService, processStalls, metrics })
  return { service, backend, listings }
}
