import type { Server } from 'node:http'
import { join } from 'node:path'
import { createAdminDoor } from '../admin/door.js'
import { leaseEndpoints } from '../admin/lease-api.js'
import { webhookEndpoints } from '../admin/webhooks.js'
import { defaultCacheDir } from '../config/cache-dir.js'
import type { Address, Settings, UnixAddress } from '../config/options.js'
import { packageVersion } from '../config/version.js'
import { FreshCache } from '../freshness/fresh-cache.js'
import { Modes } from '../freshness/modes.js'
import { Observer } from '../freshness/observer.js'
import { inspectInstallation, oldestGit, type Installation } from '../git/installation.js'
import { CompressedForms } from '../http/compressed-forms.js'
import { createDoor } from '../http/door.js'
import { LeaseService } from '../service/lease-service.js'
import { RefService } from '../service/ref-service.js'
import type { Log } from '../telemetry/log.js'
import { Metrics } from '../telemetry/metrics.js'
import { openCache } from './cache.js'
import { findGround } from './ground.js'
import { openLeases } from './leases.js'
import { openLimits } from './limits.js'
import { listen } from './listen.js'
import { readSecret } from './secret.js'

/** A sidecar that listens. */
export interface Sidecar {
  /** Where Git clients connect, as in `http://127.0.0.1:8080`. */
  readonly url: string
  /** Where /metrics and the lease API are: the first of the addresses, `unix:/path` for a Unix socket. */
  readonly adminUrl: string
  /**
   * Not ready, no new connections; what is under way may go on for `drainSeconds`, then it is cut and its Git processes
   * are ended. Resolves when nothing is left.
   */
  close(): Promise<void>
  /** Ends every Git process at once, for a program that is about to die. */
  killProcesses(): void
}

const defaultAdmin: Address = { host: '127.0.0.1', port: 8081 }

/**
 * Puts the parts together and opens the doors.
 * @throws ConfigError if the root, the Git program or an address cannot be used
 */
export async function startSidecar(
  settings: Settings,
  log: Log,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Sidecar> {
  const secret = readSecret(settings.webhookSecretFile)
  const metrics = new Metrics()
  const limits = openLimits(settings, metrics, log)
  const { slots } = limits
  const { root, git } = findGround(settings, environment, {
    slots,
    filled: (kind, ms) => limits.adaptive?.took(kind, ms),
    started: (command) => metrics.processesStarted.inc({ command }),
    complained: (complaint) => log.warn(complaint, 'git complained'),
  })
  const cacheDir = settings.cacheDir ?? defaultCacheDir(root, environment)
  const cache = await openCache(settings, cacheDir, metrics, log)
  const { slot } = cache
  if (slot)
    log.info({ slot, cacheDir }, 'another process uses the cache directory; this one has its own part')
  const journal = slot === undefined ? undefined : join(cacheDir, `slot-${slot}`, 'leases')
  const leases = openLeases(journal, metrics, log, (repository) => service.forget(repository))
  const modes = new Modes({
    root,
    rules: settings.freshness,
    leaseOnly: ({ gitDir }, { reason, detail }) => {
      log.warn(
        { repository: gitDir, reason, detail, unleasedMaxAgeSeconds: settings.unleasedMaxAgeSeconds },
        'in lease mode: changes that nobody takes a lease for may stay unseen for so long; see README, Freshness',
      )
    },
  })
  const observer = new Observer({
    root,
    settings: inspectInstallation(git).then((installation) => ({
      root,
      ...checkVersion(installation, log),
    })),
    leases,
    modes,
    directoriesMax: settings.maxRefDirectories,
    leaseMaxAgeMs: settings.unleasedMaxAgeSeconds * 1000,
    observed: (result) => metrics.observations.inc({ result }),
  })
  const leaseService = new LeaseService({ root, leases, observer, modes })
  const service: RefService = new RefService({
    root,
    exportAll: settings.exportAll ?? environment['GIT_HTTP_EXPORT_ALL'] !== undefined,
    git,
    observer,
    leases: leaseService,
    cache: new FreshCache(cache),
    listingsMaxBytes: settings.hotMaxBytes,
    slots,
    backOff: limits.backOff,
    metrics,
    log,
  })
  metrics.watch({
    followers: () => cache.followers,
    storeBytes: () => cache.storeBytes,
    storeEntries: () => cache.storeEntries,
    hotBytes: () => cache.hotBytes,
    listingBytes: () => service.listingBytes,
    processesRunning: () => git.running,
    leasesOpen: () => leases.size,
    requestsUnderWay: () => limits.room.inside,
    slotsTotal: () => slots.total,
    slots: () =>
      (['fill', 'pass'] as const).map((each) => ({
        class: each,
        running: slots.running(each),
        waiting: slots.waiting(each),
      })),
    repositories: () => modes.census(),
  })

  let draining = false
  const door = createDoor({
    service,
    metrics,
    log,
    remoteUserHeader: settings.remoteUserHeader,
    etag: settings.etag,
    ...limits,
    requestIdleMs: settings.requestIdleSeconds * 1000,
    shedStatus: settings.shedStatus,
    compressed: new CompressedForms({
      minBytes: settings.compression === 'on' ? settings.compressionMinBytes : undefined,
      maxBytes: settings.hotMaxBytes,
    }),
  })
  const invalidated = (source: string): void => metrics.invalidations.inc({ source })
  const admin = {
    metrics,
    log,
    notReady: () =>
      draining ? 'shutting down' : limits.shedding() ? 'overloaded: requests are shed' : undefined,
    endpoints: [
      ...leaseEndpoints({ leases: leaseService, maxSeconds: settings.leaseMaxSeconds, invalidated }),
      ...webhookEndpoints({ leases: leaseService, secret, invalidated }),
    ],
    version: packageVersion(),
  }
  const doors: Server[] = []
  const open = async (server: Server, address: Address | UnixAddress, option: string): Promise<string> => {
    const url = await listen(server, address, option)
    doors.push(server)
    // accept() fails when file descriptors run out; those who are connected go on.
    server.on('error', (err) => log.error({ err }, 'a connection could not be accepted'))
    return url
  }
  try {
    const url = await open(door, settings.listen, 'listen')
    const adminUrls: string[] = []
    for (const address of settings.admin ?? []) {
      adminUrls.push(await open(createAdminDoor(admin), address, 'admin'))
    }
    if (!settings.admin) {
      // If nobody has said where, a port that is taken is no reason not to start.
      const anywhere = { ...defaultAdmin, port: 0 }
      const openAt = (address: Address): Promise<string> => open(createAdminDoor(admin), address, 'admin')
      adminUrls.push(await openAt(defaultAdmin).catch(() => openAt(anywhere)))
    }
    const close = async (): Promise<void> => {
      draining = true
      await drain(door, settings.drainSeconds)
      await cache.close()
      await git.close()
      leases.close()
      limits.close()
      for (const server of doors) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
    }
    return { url, adminUrl: adminUrls[0] ?? '', close, killProcesses: () => git.killAll() }
  } catch (error) {
    for (const server of doors) server.close()
    leases.close()
    limits.close()
    await cache.close()
    throw error
  }
}

function checkVersion(installation: Installation, log: Log): Installation {
  const { version, supported } = installation
  if (!supported) log.warn({ version }, `this Git is not supported: ${oldestGit} is the oldest that is`)
  return installation
}

/** Resolves when the last connection has ended, by itself or at the end of the time it was given. */
async function drain(server: Server, seconds: number): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  const cut = setTimeout(() => server.closeAllConnections(), seconds * 1000)
  // A kept-alive connection becomes idle when its answer is done.
  const idle = setInterval(() => server.closeIdleConnections(), 100)
  await closed
  clearTimeout(cut)
  clearInterval(idle)
}
