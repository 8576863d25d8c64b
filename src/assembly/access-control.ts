import type { Socket } from 'node:net'
import { Access, type Locate } from '../access/access.js'
import { ExternalAuthorizer } from '../access/external-authorizer.js'
import { Htpasswd } from '../access/htpasswd.js'
import { TrustedProxies } from '../access/proxies.js'
import { PasswordChecks } from '../access/password-checks.js'
import { Rules } from '../access/rules.js'
import { Tokens } from '../access/tokens.js'
import { DecisionCache } from '../access/decision-cache.js'
import { checkExposure } from '../config/cross-checks.js'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'
import { atMostEvery, type Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import { Tls } from '../server/tls.js'
import { WatchedFiles } from '../server/watched-files.js'

/** All that keeps strangers out, by the settings. What is in files is read again when they change. */
export interface AccessControl {
  /** undefined: there is no certificate. */
  readonly tls: Tls | undefined
  /** Whose tokens open the admin API; undefined: it is open. */
  readonly adminTokens: (() => Tokens) | undefined
  /** Who may do what. */
  readonly access: Access
  /** By its certificate, the name of the client at the other end; undefined: it has shown none. */
  readonly clientName: (socket: Socket) => string | undefined
  /** Who may say for whom a request is. */
  readonly proxies: TrustedProxies
  /** Reads all files again. */
  reload(): void
  close(): Promise<void>
}

const pollMs = 5000
/** Longest time for a TLS handshake, if the head of a request may take longer. */
const handshakeMaxMs = 10_000

/** Most verdicts that are remembered, and most passwords that wait to be checked. */
const verdictsMax = 100_000
const passwordQueueMax = 256
/** Milliseconds between two lines about an authoriser that fails. */
const authorizerQuietMs = 60_000

/** @param what is in the files, as the metrics name it */
export function cannotUse(what: string, paths: readonly (string | undefined)[], error: unknown): ConfigError {
  const files = paths.filter((path) => path !== undefined).join(', ')
  return new ConfigError(`${what}: cannot use ${files}: ${(error as Error).message}`)
}

/**
 * @throws ConfigError
 */
export function openAccessControl(
  settings: Settings,
  metrics: Metrics,
  log: Log,
  locate: Locate,
): AccessControl {
  checkExposure(settings)
  const files = new WatchedFiles({
    pollMs,
    reloaded: (what) => {
      metrics.reloads.inc({ what, result: 'ok' })
      log.info({ what }, 'files were read again')
    },
    failed: (what, err) => {
      metrics.reloads.inc({ what, result: 'failed' })
      log.error({ err, what }, 'files have changed and cannot be used; what was read before stays in force')
    },
  })
  /** At the start, there is nothing to fall back on. */
  const watch = (what: string, paths: readonly (string | undefined)[], read: () => void): void => {
    const given = paths.filter((path) => path !== undefined)
    try {
      files.add(what, given, read)
    } catch (error) {
      throw cannotUse(what, given, error)
    }
  }

  try {
    const tls = openTls(settings, metrics, log, watch)
    const adminTokens = readTokens('admin-tokens', settings.adminTokenFile, watch)
    const tokens = readTokens('auth-tokens', settings.authTokens, watch)
    const checks = new PasswordChecks(passwordQueueMax, (good) =>
      metrics.authChecks.inc({ by: 'password', result: good ? 'allowed' : 'denied' }),
    )
    const authorizer = openAuthorizer(settings, metrics, log)
    const remembering = { forMs: settings.authCacheSeconds * 1000, max: verdictsMax }
    const file = readHtpasswd(settings.authHtpasswd, watch)
    const access = new Access({
      tokens,
      passwords: file && { file, checks, decisions: new DecisionCache({ ...remembering, timeless: true }) },
      authorizer: authorizer && {
        asked: authorizer,
        decisions: new DecisionCache(remembering),
      },
      rules: settings.access && new Rules(settings.access),
      locate,
    })
    return {
      tls,
      adminTokens,
      access,
      clientName: (socket) => tls?.nameOf(socket),
      proxies: new TrustedProxies(settings.trustedProxies ?? []),
      reload: () => files.reload(),
      close: async () => {
        files.close()
        authorizer?.close()
        await checks.close()
      },
    }
  } catch (error) {
    files.close()
    throw error
  }
}

type Watch = (what: string, paths: readonly (string | undefined)[], read: () => void) => void

function openTls(settings: Settings, metrics: Metrics, log: Log, watch: Watch): Tls | undefined {
  const { tlsCert: cert, tlsKey: key, tlsClientCa: clientCa, tlsClientNames: clientNames } = settings
  if (cert === undefined || key === undefined) return undefined
  const handshakeMs = Math.min(settings.requestIdleSeconds * 1000, handshakeMaxMs)
  let tls: Tls | undefined
  watch('tls', [cert, key, clientCa, clientNames], () => {
    if (tls) tls.reload()
    else tls = new Tls({ files: { cert, key, clientCa, clientNames }, handshakeMs, metrics, log })
  })
  return tls
}

function readTokens(what: string, path: string | undefined, watch: Watch): (() => Tokens) | undefined {
  if (path === undefined) return undefined
  let tokens: Tokens | undefined
  watch(what, [path], () => (tokens = Tokens.read(path)))
  return () => tokens!
}

function readHtpasswd(path: string | undefined, watch: Watch): (() => Htpasswd) | undefined {
  if (path === undefined) return undefined
  let passwords: Htpasswd | undefined
  watch('auth-htpasswd', [path], () => (passwords = Htpasswd.read(path)))
  return () => passwords!
}

function openAuthorizer(settings: Settings, metrics: Metrics, log: Log): ExternalAuthorizer | undefined {
  const { authUrl: url, authForwardHeaders: headers, authUserHeader: userHeader } = settings
  if (url === undefined) return undefined
  return new ExternalAuthorizer({
    url,
    headers,
    userHeader,
    timeoutMs: settings.authTimeoutSeconds * 1000,
    answered: (result) => metrics.authChecks.inc({ by: 'url', result }),
    failed: atMostEvery(authorizerQuietMs, (reason) =>
      log.error({ url, reason }, 'auth-url gives no answer that can be used: nobody is let in'),
    ),
  })
}
