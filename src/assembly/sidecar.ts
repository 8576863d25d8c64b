import { leaseEndpoints } from '../admin/lease-api.js'
import { webhookEndpoints } from '../admin/webhooks.js'
import { adminHosts, isLocal } from '../config/cross-checks.js'
import { defaultCacheDir } from '../config/cache-dir.js'
import type { Settings } from '../config/options.js'
import { packageVersion } from '../config/version.js'
import { FreshCache } from '../freshness/fresh-cache.js'
import type { Complaint } from '../git/process/git.js'
import { CompressedForms } from '../service/compressed-forms.js'
import { CacheInspector } from '../service/cache-inspector.js'
import { forgetRepository } from '../service/entry-keys.js'
import { FillReports } from '../service/fill-reports.js'
import { GitBackend } from '../service/git-backend.js'
import { RefListings } from '../service/ref-listings.js'
import { RefService } from '../service/ref-service.js'
import { ServingConfigs } from '../service/serving-configs.js'
import { locate } from '../service/target.js'
import { UnservedNotices } from '../service/unserved-notices.js'
import { droppedLines, type Log } from '../telemetry/log.js'
import { Metrics } from '../telemetry/metrics.js'
import { openCache } from './cache.js'
import { checkFileDescriptors } from './file-descriptors.js'
import { Servers } from '../server/servers.js'
import { openFreshness } from './freshness.js'
import { answered, findHostEnvironment } from './environment.js'
import { openLimits } from './limits.js'
import { openAccessControl } from './access-control.js'
import { checkSettings } from './preflight.js'
import { readWebhookSecret } from './webhook-secret.js'
import { locateStorages } from './storages.js'

/** A sidecar that listens. */
export interface Sidecar {
  /** Where Git clients connect, as in `http://127.0.0.1:8080`. */
  readonly url: string
  /** Where /metrics and the lease API are: the first of the addresses, `unix:/path` for a Unix socket. */
  readonly adminUrl: string
  /** Where gRPC's clients connect, `HOST:PORT` or `unix:/path`; undefined: nowhere. */
  readonly grpcTarget: string | undefined
  /**
   * Not ready, no new connections; what is under way may go on for `drainSeconds`, then it is cut and its Git processes
   * are ended. Resolves when nothing is left.
   */
  close(): Promise<void>
  /** Reads certificates, tokens and passwords again; what cannot be used changes nothing, and is logged. */
  reload(): void
  /** Ends every Git process at once, for a program that is about to die. */
  killProcesses(): void
}

/**
 * Puts the parts together and opens the doors.
 * @throws ConfigError if the root, the Git program or an address cannot be used
 */
export async function startSidecar(
  settings: Settings,
  log: Log,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Sidecar> {
  checkFileDescriptors(settings, log)
  checkSettings(settings, environment)
  const secret = readWebhookSecret(settings.webhookSecretFile)
  const metrics = new Metrics()
  const access = openAccessControl(settings, metrics, log, (path) => locate(observer, path))
  const limits = openLimits(settings, metrics, log)
  const { limiter } = limits
  const gitEvents = {
    limiter,
    filled: (kind: string, ms: number) => limits.adaptive?.took(kind, ms),
    started: (command: string) => metrics.processesStarted.inc({ command }),
    complained: (complaint: Complaint) => log.warn(complaint, 'git complained'),
  }
  const host = await findHostEnvironment(settings, environment, gitEvents, {
    unanswered: () => metrics.observations.inc({ result: 'timeout' }),
    stopped: (mounts) =>
      log.error(
        { mounts },
        'a filesystem does not answer: requests for repositories on it get 503 until it does',
      ),
    resumed: (mounts) => log.info({ mounts }, 'the filesystem answers again'),
  })
  const { root, disks, helpers, git } = host
  const storages = await locateStorages(root, settings.gitalyStorages, (path) =>
    answered('--gitaly-storages', settings, disks.relative(path)),
  )
  const cacheDir = settings.cacheDir ?? defaultCacheDir(root.latest ?? root.path, environment)
  const cache = await openCache(settings, cacheDir, metrics, log)
  const { instance: slot } = cache
  if (slot)
    log.info({ slot, cacheDir }, 'another process uses the cache directory; this one has its own part')
  const notices = new UnservedNotices({ log })
  const freshCache = new FreshCache(cache)
  const { leases, modes, observer, leaseService } = openFreshness({
    host,
    notices,
    ownDirectory: cache.ownDirectory,
    changed: (repository) => forgetRepository(freshCache, repository),
    settings,
    metrics,
    log,
  })
  const exportAll = settings.exportAll ?? environment['GIT_HTTP_EXPORT_ALL'] !== undefined
  const { backOff } = limits
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
  const backend = new GitBackend({
    exportAll,
    git,
    observer,
    leases: leaseService,
    processStalls: limits.processStalls,
    metrics,
  })
  metrics.watch({
    followers: () => cache.followers,
    storeBytes: () => cache.storeBytes,
    storeEntries: () => cache.storeEntries,
    hotBytes: () => cache.hotBytes,
    listingBytes: () => listings.bytes,
    processesRunning: () => git.running,
    helpers: () => helpers.census,
    leasesOpen: () => leases.size,
    requestsUnderWay: () => limits.gate.admitted,
    requestsWaiting: () => limits.gate.waiting,
    requestsPipelined: () => limits.pipelined.taken,
    requestBodyBytes: () => limits.bodies.taken,
    processLimit: () => limiter.total,
    processClasses: () =>
      (['fill', 'pass'] as const).map((each) => ({
        class: each,
        running: limiter.running(each),
        waiting: limiter.waiting(each),
      })),
    repositories: () => modes.census(),
    logLinesDropped: () => droppedLines(log),
  })

  let draining = false
  const rootFault = (real: string | undefined): string | undefined =>
    real === undefined ? `there is no directory ${root.path}, or it may not be entered` : undefined
  const readiness = (): string | undefined | Promise<string | undefined> => {
    if (draining) return 'shutting down'
    if (limits.shedding()) return 'overloaded: requests are shed'
    const real = disks.root()
    if (!(real instanceof Promise)) return rootFault(real)
    return real.then(rootFault, () => `the filesystem of ${root.path} does not answer`)
  }
  const invalidated = (source: string): void => metrics.invalidations.inc({ source })
  const stop = async (): Promise<void> => {
    await cache.close()
    await git.close()
    helpers.close()
    leases.close()
    limits.close()
    await access.close()
  }
  const doors = await Servers.open({
    settings,
    http: {
      ...limits,
      access: access.access,
      clientName: access.clientName,
      proxies: access.proxies,
      service,
      backend,
      metrics,
      log,
      remoteUserHeader: settings.remoteUserHeader,
      etag: settings.etag,
      requestIdleMs: settings.requestIdleSeconds * 1000,
      maxHeaderBytes: settings.maxHeaderBytes,
      shedStatus: settings.shedStatus,
      compressed: new CompressedForms({
        minBytes: settings.compression === 'on' ? settings.compressionMinBytes : undefined,
        maxBytes: settings.hotMaxBytes,
      }),
    },
    admin: {
      metrics,
      log,
      notReady: readiness,
      endpoints: [
        ...leaseEndpoints({ leases: leaseService, maxSeconds: settings.leaseMaxSeconds, invalidated }),
        ...webhookEndpoints({ leases: leaseService, secret, invalidated }),
      ],
      version: packageVersion(),
      tokens: access.adminTokens,
      hosts: adminHosts(settings),
    },
    grpc: {
      ...limits,
      service,
      metrics,
      log,
      leases: leaseService,
      inspector: new CacheInspector({ observer, modes, leases, cache: freshCache }),
      storages,
      leaseMaxSeconds: settings.leaseMaxSeconds,
      invalidated,
      notReady: readiness,
      reflection: settings.grpcReflection,
      requestIdleMs: settings.requestIdleSeconds * 1000,
      clientIdleMs: settings.clientIdleSeconds * 1000,
      authorize: {
        ...access,
        adminOpen: settings.grpc !== undefined && isLocal(settings.grpc),
        unix: settings.grpc !== undefined && 'path' in settings.grpc,
      },
    },
    tls: access.tls,
    log,
  }).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return {
    url: doors.url,
    adminUrl: doors.adminUrl,
    grpcTarget: doors.grpcTarget,
    reload: () => access.reload(),
    killProcesses: () => git.killAll(),
    close: async () => {
      draining = true
      await doors.drain(settings.drainSeconds)
      await stop()
      await doors.close()
    },
  }
}
