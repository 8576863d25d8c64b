import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import type { Settings } from '../config/options/options.js'
import { readText } from '../config/text-file.js'
import { packageVersion } from '../config/version.js'
import { FillReports } from '../origin/faults/fill-reports.js'
import { PackReports } from '../origin/packs/pack-reports.js'
import { PeerAnswers } from '../origin/peers/peer-answers.js'
import { RefListings } from '../origin/ref-listings.js'
import { openLeases } from './leases.js'
import { openOrigins } from './origins/origins.js'
import { FreshCache } from '../freshness/fresh-cache.js'
import type { CertificateExpiry } from '../server/certificate-expiry.js'
import { takePassedSockets } from '../server/passed-sockets.js'
import { LeaseService } from '../service/lease-service.js'
import { Servers } from '../server/servers.js'
import { forgetRepository } from '../origin/disk/entry-keys.js'
import type { Log } from '../telemetry/log.js'
import { Metrics } from '../telemetry/metrics.js'
import { openAccessControl } from './credentials/access-control.js'
import { cacheDirectoryOf } from './cache/cache-directory.js'
import { openCache } from './cache/cache.js'
import { Closers } from './closers.js'
import { openCredentialFiles } from './credentials/credential-files.js'
import type { HostEnvironment } from './environment/environment.js'
import { reportFilesystems, type FilesystemEventMap } from './environment/filesystem-reports.js'
import { Activity } from '../status/activity.js'
import { OwnStatus } from './status/own-status.js'
import { UpstreamAnswers } from './status/upstreams.js'
import { WholeStatus } from './status/whole-status.js'
import { readPeerCertificates } from './fleet/files.js'
import { fleetParts } from './fleet/origin-runs.js'
import { checkFileDescriptors } from './limits/file-descriptors.js'
import { watchGauges } from './gauges.js'
import { inspectGit, openGit } from './environment/git.js'
import { openFleetOf } from './open-fleet.js'
import { openPacks } from './origins/packs.js'
import { openLimits } from './limits/limits.js'
import { preflight } from './preflight.js'
import { Readiness } from './readiness.js'
import {
  adminOptions,
  grpcOptions,
  httpOptions,
  proxyProtocolOf,
  type ServerParts,
} from './server-options.js'
import { openTraces } from './traces.js'
import { readWebhookSecret } from './credentials/webhook-secret.js'
import type { WorkerContext } from './worker-context/context.js'
import { shareOf } from './worker-context/share-of.js'

/** A running sidecar. */
export interface Sidecar {
  /** Where Git clients connect, such as `http://127.0.0.1:8080`. */
  readonly url: string
  /** Where the admin API is: the first of its addresses; `unix:/path` for a Unix socket. */
  readonly adminUrl: string
  /** Where gRPC clients connect, `HOST:PORT` or `unix:/path`; undefined: there is no gRPC server. */
  readonly grpcTarget: string | undefined
  /**
   * Reports that it is not ready, and accepts no new connections. Requests under way may go on for `drainSeconds`; then
   * their connections are closed and their Git processes are ended. Resolves when all are gone.
   */
  close(): Promise<void>
  /**
   * Reads certificates, tokens, passwords and access rules again, and forgets what was decided by credentials. Files that
   * cannot be used change nothing, and are logged.
   */
  reload(): void
  /** Kills every Git process at once, for a program that is about to exit. */
  killProcesses(): void
}

/**
 * Builds the parts in the order in which they need each other, and starts to listen.
 * @param settings those of the whole, if this process is a worker
 * @param worker undefined: it is not
 * @throws ConfigError with all mistakes if the settings cannot be used, or an address cannot be listened on
 */
export async function startSidecar(
  settings: Settings,
  log: Log,
  environment: NodeJS.ProcessEnv = process.env,
  worker?: WorkerContext,
): Promise<Sidecar> {
  // The checks are about the settings as they were given.
  const own = worker ? shareOf(settings, worker.count) : settings
  checkFileDescriptors(own, log)
  const metrics = new Metrics()
  const filesystems = new EventEmitter<FilesystemEventMap>()
  reportFilesystems(filesystems, metrics, log)
  const host = await preflight(settings, environment, {
    unanswered: () => filesystems.emit('unanswered'),
    stopped: (mounts) => filesystems.emit('stopped', mounts),
    resumed: (mounts) => filesystems.emit('resumed', mounts),
  })
  const closers = new Closers()
  closers.add(() => host.helpers.close())
  return start(own, settings, environment, worker, host, filesystems, closers, metrics, log).catch(
    async (error: unknown) => {
      // Why the start failed matters more than a part that cannot be closed.
      await closers
        .close()
        .catch((err: unknown) => log.error({ err }, 'a part of refstream cannot be closed'))
      throw error
    },
  )
}

async function start(
  settings: Settings,
  given: Settings,
  environment: NodeJS.ProcessEnv,
  worker: WorkerContext | undefined,
  host: HostEnvironment,
  filesystems: EventEmitter<FilesystemEventMap>,
  closers: Closers,
  metrics: Metrics,
  log: Log,
): Promise<Sidecar> {
  const { root, storages, disks, helpers } = host
  const tracing = await openTraces(settings, worker?.index, closers, log)
  const webhookSecret = readWebhookSecret(settings.webhookSecretFile)
  const files = openCredentialFiles(settings, metrics, log)
  closers.add(() => files.close())
  const limits = openLimits(settings, metrics, log)
  closers.add(() => limits.close())
  const activity = new Activity()
  const git = openGit(host, environment, limits, activity, metrics, log, tracing)
  closers.add(() => git.close())
  // Requests that wait for Git on such a filesystem fail, and release their permits to others.
  filesystems.on('stopped', (mounts) => git.giveUpOn(mounts))
  const directory = cacheDirectoryOf(settings, root && (root.latest ?? root.path), environment)
  const cache = await openCache(settings, directory, metrics, log, worker?.count)
  closers.add(() => cache.close())
  const packs = await openPacks(settings, directory, metrics, log)
  closers.add(() => packs.cache.close())
  const { packCache } = packs
  const freshCache = new FreshCache(cache)
  const listings = new RefListings(settings.hotMaxBytes)
  const repositories = new EventEmitter<RepositoryEventMap>()
  repositories.on('changed', (subject) => {
    forgetRepository(freshCache, subject)
    packCache.forget(subject)
  })
  const changed = (subject: string): void => void repositories.emit('changed', subject)
  const fleet = await openFleetOf(settings, worker, root, changed, metrics, log, tracing)
  if (fleet) closers.add(() => fleet.close())
  const journal = cache.ownDirectory && join(cache.ownDirectory, 'leases')
  const leases = fleet?.leases ?? openLeases(journal, metrics, log, changed)
  closers.add(() => leases.close())
  const fillReports = new FillReports({ backOff: limits.backOff, metrics, tracing, log, activity })
  const packReports = new PackReports(metrics)
  const installation = inspectGit(git, log)
  const answers = new UpstreamAnswers()
  const origins = await openOrigins(settings, environment, host, files.upstreamCredentials, {
    ...{
      git,
      installation,
      leases,
      cache,
      freshCache,
      packCache,
      listings,
      fillReports,
      packReports,
      fleet: fleet && fleetParts(fleet, { refs: cache, packs: packs.cache }, limits.backOff),
      limits,
      metrics,
      tracing,
      answered: answers.answered,
      log,
    },
  })
  closers.add(() => origins.upstream?.close())
  closers.add(() => origins.disk?.splices.close())
  repositories.on('changed', (subject) => origins.upstream?.changed(subject))
  const accessControl = openAccessControl(settings, files, origins.locate, metrics, log, tracing)
  closers.add(() => accessControl.close())
  await fleet?.listen(
    new PeerAnswers({
      disk: origins.disk?.peers,
      upstream: origins.upstream?.peers,
      hear: (message) => fleet.leases.heard(message),
    }),
  )
  if (fleet && settings.peerTlsCert !== undefined)
    files.watch('peer-tls', [settings.peerTlsCert, settings.peerTlsKey, settings.peerTlsCa], () => {
      const certificates = readPeerCertificates(settings)
      if (!certificates) return
      fleet.setTls(certificates)
      files.certificates.record('peer-tls-cert', certificates.cert)
      if (certificates.ca !== undefined) files.certificates.record('peer-tls-ca', certificates.ca)
    })
  recordFixedCertificates(settings, files.certificates)
  const modes = origins.disk?.modes
  const readiness = new Readiness({ root, disks, limits })
  watchGauges(metrics, {
    ...{ settings, readiness, cache, packs: packs.cache, listings, git, helpers, leases, modes, limits, log },
  })
  void installation.then(({ version }) => metrics.buildInfo.set(buildLabels(settings, version), 1))

  const own = new OwnStatus({
    ...{ settings: given, activity, cache, packs: packs.cache, listings, git, metrics, answers },
    ...{ limiter: limits.limiter, gate: limits.gate, leasesOpen: () => leases.size },
    leases: new LeaseService({ leases, subjects: origins.subjects }),
    certificates: () => files.certificates.list(),
    gitVersion: installation.then(({ version }) => version),
    notReady: () => readiness.reason(),
    fleet: fleet && (() => fleet.status()),
  })
  const status = new WholeStatus(own, activity, worker)

  const parts: ServerParts = {
    ...{ origins, leases, freshCache, packCache, accessControl, limits, storages },
    ...{
      activity,
      status,
      webhookSecret,
      readiness,
      metrics,
      tracing,
      scrape: worker?.sumMetrics(metrics.registry),
      log,
    },
  }
  const servers = await Servers.open({
    settings,
    http: httpOptions(settings, parts),
    admin: adminOptions(settings, parts),
    grpc: grpcOptions(settings, parts),
    tls: files.tls,
    proxyProtocol: proxyProtocolOf(settings, parts),
    hasSiblings: worker && !worker.isFirst,
    passed: worker ? worker.passed : takePassedSockets(environment),
    log,
  })
  return {
    url: servers.url,
    adminUrl: servers.adminUrl,
    grpcTarget: servers.grpcTarget,
    reload: () => {
      files.reload()
      accessControl.forgetDecisions()
    },
    killProcesses: () => git.killAll(),
    close: async () => {
      const until = performance.now() + settings.drainSeconds * 1000
      readiness.drain()
      fleet?.retire()
      await servers.drain(settings.drainSeconds)
      // Clients of other workers may be reading what this one makes.
      await worker?.drained()
      // Before the origins close, from which other nodes are still reading.
      await fleet?.drain(Math.max(0, until - performance.now()))
      await closers.close()
      await servers.close()
    },
  }
}

/** Records the certificates that are read at the start only. */
function recordFixedCertificates(
  { fleet, fleetTlsCert, upstream, upstreamClientCert }: Settings,
  certificates: CertificateExpiry,
): void {
  if (fleet && fleetTlsCert !== undefined)
    certificates.record('fleet-tls-cert', readText('fleet-tls-cert', fleetTlsCert))
  if (upstream && upstreamClientCert !== undefined)
    certificates.record('upstream-client-cert', readText('upstream-client-cert', upstreamClientCert))
}

const buildLabels = ({ root, upstream }: Settings, git: string) => ({
  ...{ version: packageVersion(), node: process.versions.node, git },
  mode: root === undefined ? 'upstream' : upstream ? 'both' : 'disk',
})

/** Events of repositories, with the subject by which leases know them. */
interface RepositoryEventMap {
  readonly changed: [subject: string]
}
