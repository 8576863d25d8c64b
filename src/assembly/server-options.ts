import { leaseEndpoints } from '../admin/lease-api.js'
import { repositoryEndpoints } from '../admin/status/repository-api.js'
import { requestsEndpoints } from '../admin/status/requests-api.js'
import { statusEndpoints } from '../admin/status/status-api.js'
import { webhookEndpoints } from '../admin/webhooks.js'
import { isLocal } from '../config/values/addresses.js'
import type { Settings } from '../config/options/options.js'
import { packageVersion } from '../config/version.js'
import type { FreshCache } from '../freshness/fresh-cache.js'
import type { PackCache } from '../freshness/pack-cache.js'
import { ProxyProtocol } from '../server/proxy-protocol/proxy-protocol.js'
import { CrossOrigin } from '../http/cross-origin.js'
import { gitMethods, passedMethods } from '../http/route.js'
import type { ServersOptions } from '../server/servers.js'
import { CacheInspector } from '../service/cache-inspector.js'
import { AnswerDigests } from '../service/answer-digests.js'
import { AnswerVersions } from '../service/answer-versions.js'
import { CompressedForms } from '../service/compressed-forms.js'
import type { MutatorLeases } from '../freshness/leases/mutator-leases.js'
import { LeaseService } from '../service/lease-service.js'
import { RequestLog } from '../service/request-log.js'
import type { Activity } from '../status/activity.js'
import type { StatusSource } from '../status/source.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Tracing } from '../telemetry/tracing/tracing.js'
import type { AccessControl } from './credentials/access-control.js'
import { handshakeMsOf } from './credentials/credential-files.js'
import type { Origins } from './origins/origins.js'
import type { Limits } from './limits/limits.js'
import type { Readiness } from './readiness.js'
import type { Storages } from './environment/storages.js'

/** What the servers are built from. */
export interface ServerParts {
  readonly origins: Origins
  readonly leases: MutatorLeases
  readonly freshCache: FreshCache
  readonly packCache: PackCache
  readonly accessControl: AccessControl
  readonly limits: Limits
  readonly storages: Storages
  readonly activity: Activity
  readonly status: StatusSource
  readonly webhookSecret: string | undefined
  readonly readiness: Readiness
  readonly metrics: Metrics
  /** undefined: there are no traces. */
  readonly tracing: Tracing | undefined
  /** Resolves with the text of a scrape of all workers; undefined: this process is alone. */
  readonly scrape: (() => Promise<string>) | undefined
  readonly log: Log
}

/** Returns the options of the HTTP server for Git clients. */
export function httpOptions(settings: Settings, parts: ServerParts): ServersOptions['http'] {
  const { origins, accessControl, limits, activity, metrics, tracing, log } = parts
  const { access, clientName, proxies } = accessControl
  const { corsOrigins } = settings
  const forwardsCredentials =
    origins.upstream !== undefined && settings.upstreamCredentials === 'pass-through'
  return {
    ...limits,
    access,
    clientName,
    proxies,
    unix: 'path' in settings.listen,
    origin: origins.origin,
    forwardsCredentials,
    // With refstream's own credentials, only what Git's protocol has may reach the upstream.
    anyTarget: forwardsCredentials,
    lfsRedirect: settings.lfsRedirect?.replace(/\/+$/, ''),
    crossOrigin:
      corsOrigins && new CrossOrigin(corsOrigins, forwardsCredentials ? passedMethods : gitMethods),
    metrics,
    tracing,
    log,
    requestLog: requestLog(settings, log),
    activity,
    remoteUserHeader: settings.remoteUserHeader,
    requestIdHeader: settings.requestIdHeader,
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

const inspectorOf = ({ origins, leases, freshCache, packCache }: ServerParts): CacheInspector | undefined =>
  origins.disk && new CacheInspector({ ...origins.disk, leases, cache: freshCache, packs: packCache })

const leaseService = ({ leases, origins: { subjects } }: ServerParts): LeaseService =>
  new LeaseService({ leases, subjects })

/** Returns what reads the PROXY protocol on the address for Git clients; undefined: it is not spoken there. */
export function proxyProtocolOf(
  settings: Settings,
  { accessControl: { proxies }, metrics, log }: Pick<ServerParts, 'accessControl' | 'metrics' | 'log'>,
): ProxyProtocol | undefined {
  if (!settings.proxyProtocol) return undefined
  const unix = 'path' in settings.listen
  return new ProxyProtocol({ proxies, unix, headerMs: handshakeMsOf(settings), metrics, log })
}

/** Returns the options of the admin servers. */
export function adminOptions(settings: Settings, parts: ServerParts): ServersOptions['admin'] {
  const { origins, accessControl, webhookSecret: secret, readiness, metrics, scrape, log } = parts
  const leases = leaseService(parts)
  const invalidated = countInvalidations(metrics)
  return {
    metrics,
    scrape,
    log,
    notReady: () => readiness.reason(),
    endpoints: [
      ...statusEndpoints(parts.status),
      ...requestsEndpoints(parts.status),
      ...repositoryEndpoints({
        inspector: inspectorOf(parts),
        upstreamOf: (path) => origins.upstream?.kept.of(path),
      }),
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
  const { origins, accessControl, limits, storages, readiness } = parts
  const { activity, metrics, tracing, log } = parts
  const { grpc } = settings
  return {
    ...limits,
    origin: origins.origin,
    metrics,
    tracing,
    log,
    requestLog: requestLog(settings, log),
    activity,
    leases: leaseService(parts),
    inspector: inspectorOf(parts),
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
