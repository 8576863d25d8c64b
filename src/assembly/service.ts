import type { Settings } from '../config/options.js'
import type { FreshCache } from '../freshness/fresh-cache.js'
import type { Git } from '../git/process/git.js'
import { RefService } from '../service/ref-service.js'
import type { UnservedNotices } from '../service/unserved-notices.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Freshness } from './freshness.js'
import type { Limits } from './limits.js'

export interface ServiceParts {
  readonly git: Git
  readonly freshness: Pick<Freshness, 'observer' | 'leaseService'>
  readonly freshCache: FreshCache
  readonly limits: Pick<Limits, 'limiter' | 'backOff'>
  readonly notices: UnservedNotices
  readonly metrics: Metrics
  readonly log: Log
}

/** Makes the service that HTTP and gRPC share. */
export function openService(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  { git, freshness, freshCache, limits, notices, metrics, log }: ServiceParts,
): RefService {
  return new RefService({
    exportAll: settings.exportAll ?? environment['GIT_HTTP_EXPORT_ALL'] !== undefined,
    git,
    observer: freshness.observer,
    leases: freshness.leaseService,
    cache: freshCache,
    listingsMaxBytes: settings.hotMaxBytes,
    limiter: limits.limiter,
    backOff: limits.backOff,
    notices,
    metrics,
    log,
  })
}
