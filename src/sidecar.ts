import { realpathSync, statSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdminDoor } from './admin/door.js'
import { defaultCacheDir } from './config/cache-dir.js'
import type { Address, Settings } from './config/options.js'
import { ConfigError } from './config/settings.js'
import { FreshCache } from './freshness/fresh-cache.js'
import { Git } from './git/git.js'
import { findProgram, inspectInstallation, oldestGit, type Installation } from './git/installation.js'
import { CompressedForms } from './http/compressed-forms.js'
import { createDoor } from './http/door.js'
import { RefService } from './service/ref-service.js'
import { StreamCache } from './streamcache/index.js'
import type { Log } from './telemetry/log.js'
import { Metrics } from './telemetry/metrics.js'

/** A sidecar that listens. */
export interface Sidecar {
  /** Where Git clients connect, as in `http://127.0.0.1:8080`. */
  readonly url: string
  /** Where /metrics is. */
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
  const root = findRoot(settings.root)
  const gitPath = findProgram(settings.git, environment['PATH'])
  if (gitPath === undefined) {
    throw new ConfigError(`--git: there is no program ${settings.git}; give the path of Git's binary`)
  }
  const metrics = new Metrics()
  const git = new Git({
    path: gitPath,
    environment,
    started: (command) => metrics.processesStarted.inc({ command }),
    complained: (complaint) => log.warn(complaint, 'git complained'),
  })
  const cache = await openCache(
    settings,
    settings.cacheDir ?? defaultCacheDir(root, environment),
    metrics,
    log,
  )
  const service = new RefService({
    root,
    exportAll: settings.exportAll ?? environment['GIT_HTTP_EXPORT_ALL'] !== undefined,
    git,
    installation: inspectInstallation(git).then((installation) => checkVersion(installation, log)),
    cache: new FreshCache(cache),
    listingsMaxBytes: settings.hotMaxBytes,
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
  })

  let draining = false
  const door = createDoor({
    service,
    metrics,
    log,
    remoteUserHeader: settings.remoteUserHeader,
    etag: settings.etag,
    compressed: new CompressedForms({
      minBytes: settings.compression === 'on' ? settings.compressionMinBytes : undefined,
      maxBytes: settings.hotMaxBytes,
    }),
  })
  const adminDoor = createAdminDoor({ metrics, ready: () => !draining })
  const url = await listen(door, settings.listen, 'listen')
  const adminUrl = await listenAdmin(adminDoor, settings.admin).catch((error: unknown) => {
    door.close()
    throw error
  })
  for (const server of [door, adminDoor]) {
    // accept() fails when file descriptors run out; those who are connected go on.
    server.on('error', (err) => log.error({ err }, 'a connection could not be accepted'))
  }

  const close = async (): Promise<void> => {
    draining = true
    await drain(door, settings.drainSeconds)
    await cache.close()
    await git.close()
    adminDoor.closeAllConnections()
    await new Promise((resolve) => adminDoor.close(resolve))
  }
  return { url, adminUrl, close, killProcesses: () => git.killAll() }
}

function findRoot(path: string): string {
  const root = statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? realpathSync.native(path)
    : undefined
  if (root === undefined) {
    throw new ConfigError(
      `--root: ${JSON.stringify(path)} is not a directory; give one that holds repositories`,
    )
  }
  return root
}

function checkVersion(installation: Installation, log: Log): Installation {
  const { version, supported } = installation
  if (!supported) log.warn({ version }, `this Git is not supported: ${oldestGit} is the oldest that is`)
  return installation
}

function openCache(settings: Settings, directory: string, metrics: Metrics, log: Log): Promise<StreamCache> {
  /** One line when the disk begins to fail, not one for each request. */
  let quietUntil = 0
  return StreamCache.open({
    directory,
    maxBytes: settings.cacheMaxBytes,
    maxAgeMs: settings.cacheMaxAgeSeconds * 1000,
    hotMaxBytes: settings.hotMaxBytes,
    maxLeadBytes: settings.maxLeadBytes,
    fillTimeoutMs: settings.fillTimeoutSeconds * 1000,
    fillSilenceMs: settings.fillSilenceSeconds * 1000,
    events: {
      evicted: (reason) => metrics.evictions.inc({ reason }),
      discarded: (reason) => {
        metrics.discarded.inc({ reason })
        log.info({ reason, directory }, 'discarded a file of the cache')
      },
      storeFailed: (operation, err) => {
        metrics.storeErrors.inc({ operation })
        if (Date.now() < quietUntil) return
        quietUntil = Date.now() + 60_000
        log.error({ err, operation, directory }, 'the cache directory fails; requests are served uncached')
      },
    },
  })
}

function listen(server: Server, { host, port }: Address, option: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(new ConfigError(`--${option}: cannot listen on ${host}:${port}: ${error.message}`))
    })
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      const { address, family, port: chosen } = server.address() as AddressInfo
      resolve(`http://${family === 'IPv6' ? `[${address}]` : address}:${chosen}`)
    })
  })
}

/** If nobody has said where, a port that is taken is no reason not to start. */
async function listenAdmin(server: Server, address: Address | undefined): Promise<string> {
  if (address) return listen(server, address, 'admin')
  return listen(server, defaultAdmin, 'admin').catch(() =>
    listen(server, { ...defaultAdmin, port: 0 }, 'admin'),
  )
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
