import { leaseEndpoints } from '../admin/lease-api.js'
import { webhookEndpoints } from '../admin/webhooks.js'
import { isLocal } from '../config/addresses.js'
import type { Settings } from '../config/options.js'
import { packageVersion } from '../config/version.js'
import type { FreshCache } from '../freshness/fresh-cache.js'
import type { PackCache } from '../freshness/pack-cache.js'
import { CrossOrigin } from '../http/cross-origin.js'
import { gitMethods, passedMethods } from '../http/route.js'
import type { ServersOptions } from '../server/servers.js'
import { CacheInspector } from '../service/cache-inspector.js'
import { AnswerDigests } from '../service/answer-digests.js'
import { AnswerVersions } from '../service/answer-versions.js'
import { CompressedForms } from '../service/compressed-forms.js'
import type { MutatorLeases } from '../freshness/mutator-leases.js'
import { LeaseService } from '../service/lease-service.js'
import { RequestLog } from '../service/request-log.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { AccessControl } from './access-control.js'
import type { Origins } from './origins.js'
import type { Limits } from './limits.js'
import type { Readiness } from './readiness.js'
import type { Storages } from './storages.js'

/** What the servers are built from. */
export interface ServerParts {
  readonly origins: Origins
  readonly leases: MutatorLeases
  readonly freshCache: FreshCache
  readonly packCache: PackCache
  readonly accessControl: AccessControl
  readonly limits: Limits
  readonly storages: Storages
  readonly webhookSecret: string | undefined
  readonly readiness: Readiness
  readonly metrics: Metrics
  /** Resolves with the text of a scrape of all workers; undefined: this process is alone. */
  readonly scrape: (() => Promise<string>) | undefined
  readonly log: Log
}

/** Returns the options of the HTTP server for Git clients. */
export function httpOptions(settings: Settings, parts: ServerParts): ServersOptions['http'] {
  const { origins, accessControl, limits, metrics, log } = parts
  const { access, clientName, proxies } = accessControl
  const { corsOrigins } = settings
  const forwardsCredentials =
    origins.upstream !== undefined && settings.upstreamCredentials === 'pass-through'
  return {
    ...limits,
    access,
    clientName,
    proxies,
    origin: origins.origin,
    forwardsCredentials,
    // With refstream's own credentials, only what Git's protocol has may reach the upstream.
    anyTarget: forwardsCredentials,
    lfsRedirect: settings.lfsRedirect?.replace(/\/+$/, ''),
    crossOrigin:
      corsOrigins && new CrossOrigin(corsOrigins, forwardsCredentials ? passedMethods : gitMethods),
    metrics,
    log,
    requestLog: requestLog(settings, log),
    remoteUserHeader: settings.remoteUserHeader,
    etag: settings.etag,
    requestIdleMs: settings.requestIdleSeconds * 1000,
    maxHeaderBytes: settings.maxHeaderBytes,
    shedStatus: settings.shedStatus,
    digests: new AnswerDigests(),
    versions: new AnswerVersions(settings.hotMaxBytes),
    compressed: new CompressedForms({
      minBytes: settings.compression ? settings.compressionMinBytes : undefined,
      maxBytes: settings.hotMaxBytes,
    }),
  }
}

const requestLog = ({ accessLog: mode, accessLogSlowSeconds }: Settings, log: Log): RequestLog =>
  new RequestLog({ mode, slowMs: accessLogSlowSeconds * 1000, log })

const leaseService = ({ leases, origins: { subjects } }: ServerParts): LeaseService =>
  new LeaseService({ leases, subjects })

/** Returns the options of the admin servers. */
export function adminOptions(settings: Settings, parts: ServerParts): ServersOptions['admin'] {
  const { accessControl, webhookSecret: secret, readiness, metrics, scrape, log } = parts
  const leases = leaseService(parts)
  const invalidated = countInvalidations(metrics)
  return {
    metrics,
    scrape,
    log,
    notReady: () => readiness.reason(),
    endpoints: [
      ...leaseEndpoints({ leases, maxSeconds: settings.leaseMaxSeconds, invalidated }),
      ...webhookEndpoints({ leases, secret, invalidated }),
    ],
    version: packageVersion(),
    tokens: accessControl.adminTokens,
    hosts: adminHosts(settings),
  }
}

/** Returns the host names by which the admin API may be called: those in its addresses, and those of `admin-hosts`. */
function adminHosts({ admin = [], adminHosts = [] }: Settings): string[] {
  return [...admin.flatMap((address) => ('host' in address ? [address.host] : [])), ...adminHosts]
}

/** Returns the options of the gRPC server. */
export function grpcOptions(settings: Settings, parts: ServerParts): ServersOptions['grpc'] {
  const { origins, leases, freshCache, packCache, accessControl, limits, storages, readiness, metrics, log } =
    parts
  const { grpc } = settings
  return {
    ...limits,
    origin: origins.origin,
    metrics,
    log,
    requestLog: requestLog(settings, log),
    leases: leaseService(parts),
    inspector:
      origins.disk && new CacheInspector({ ...origins.disk, leases, cache: freshCache, packs: packCache }),
    storages,
    leaseMaxSeconds: settings.leaseMaxSeconds,
    invalidated: countInvalidations(metrics),
    notReady: () => readiness.reason(),
    reflection: settings.grpcReflection,
    requestIdleMs: settings.requestIdleSeconds * 1000,
    clientIdleMs: settings.clientIdleSeconds * 1000,
    authorize: {
      ...accessControl,
      adminOpen: grpc !== undefined && isLocal(grpc),
      unix: grpc !== undefined && 'path' in grpc,
    },
  }
}

const countInvalidations =
  (metrics: Metrics) =>
  (source: string): void =>
    metrics.invalidations.inc({ source })
