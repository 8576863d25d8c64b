import { Htpasswd } from '../../access/passwords/htpasswd.js'
import { readRules, Rules } from '../../access/rules.js'
import { Tokens } from '../../access/tokens.js'
import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'
import { CredentialFile } from '../../origin/upstream/credentials/credential-file.js'
import type { TlsFiles } from '../../server/tls-material.js'
import { CertificateExpiry } from '../../server/certificate-expiry.js'
import { TlsTerminator } from '../../server/tls-terminator.js'
import { WatchedFiles } from '../../server/watched-files.js'
import type { Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'

/** Certificates, tokens, passwords and access rules, read again when their files change. What is undefined is not configured. */
export interface CredentialFiles {
  /** When the certificates expire that are in use. */
  readonly certificates: CertificateExpiry
  readonly tls: TlsTerminator | undefined
  readonly adminTokens: (() => Tokens) | undefined
  readonly tokens: (() => Tokens) | undefined
  readonly passwords: (() => Htpasswd) | undefined
  readonly rules: (() => Rules) | undefined
  readonly upstreamCredentials: (() => CredentialFile) | undefined
  /** Reads further files, now and when they change. @param read throws if they cannot be used, and then changes nothing */
  watch(what: string, paths: readonly (string | undefined)[], read: () => void): void
  /** Calls back after each time that changed files have been read. @param what the files' name in the metrics */
  onReloaded(call: (what: string) => void): void
  /** Reads all files again, changed or not. */
  reload(): void
  close(): void
}

const pollMs = 5000
/** Time limit of a TLS handshake in milliseconds, unless `request-idle-seconds` is shorter. */
const handshakeMaxMs = 10_000

/** Returns the milliseconds in which a connection must get ready for its first request. */
export const handshakeMsOf = ({ requestIdleSeconds }: Settings): number =>
  Math.min(requestIdleSeconds * 1000, handshakeMaxMs)

/** Returns the files for TLS; undefined: there is no certificate. */
export function tlsFilesOf(settings: Settings): TlsFiles | undefined {
  const { tlsCert: cert, tlsKey: key, tlsClientCa: clientCa, tlsClientNames: clientNames } = settings
  return cert === undefined || key === undefined ? undefined : { cert, key, clientCa, clientNames }
}

/** @param what the files' name in the metrics */
export function unusableFiles(
  what: string,
  paths: readonly (string | undefined)[],
  error: unknown,
): ConfigError {
  return new ConfigError(`${what}: cannot use ${given(paths).join(', ')}: ${(error as Error).message}`)
}

/**
 * Reads the files, and watches them.
 * @throws ConfigError if one of them cannot be used; later, the content that was read before stays in force
 */
export function openCredentialFiles(settings: Settings, metrics: Metrics, log: Log): CredentialFiles {
  const callbacks: ((what: string) => void)[] = []
  const certificates = new CertificateExpiry({ metrics, log })
  const files = new WatchedFiles({
    pollMs,
    reloaded: (what) => {
      metrics.reloads.inc({ what, result: 'ok' })
      log.info({ what }, 'files reloaded')
      for (const call of callbacks) call(what)
    },
    failed: (what, err) => {
      metrics.reloads.inc({ what, result: 'failed' })
      log.error(
        { err, what },
        'changed files cannot be used; the content read before stays in force; correct them',
      )
    },
  })
  const watch = <T>(
    what: string,
    paths: readonly (string | undefined)[],
    read: (earlier: T | undefined) => T,
  ): (() => T) => {
    let current: T | undefined
    try {
      files.add(what, given(paths), () => (current = read(current)))
    } catch (error) {
      throw unusableFiles(what, paths, error)
    }
    return () => current!
  }
  const watchOne = <T>(
    what: string,
    path: string | undefined,
    read: (path: string) => T,
  ): (() => T) | undefined => (path === undefined ? undefined : watch(what, [path], () => read(path)))

  const close = (): void => {
    files.close()
    certificates.close()
  }

  try {
    return {
      certificates,
      tls: openTls(settings, certificates, metrics, log, watch),
      adminTokens: watchOne('admin-tokens', settings.adminTokenFile, (path) => Tokens.read(path)),
      tokens: watchOne('auth-tokens', settings.authTokens, (path) => Tokens.read(path)),
      passwords: watchOne('auth-htpasswd', settings.authHtpasswd, (path) => Htpasswd.read(path)),
      rules: watchOne('access', settings.accessFile, (path) => new Rules(readRules(path))),
      upstreamCredentials: watchOne('upstream-credentials', settings.upstreamCredentialFile, (path) => {
        const file = readUpstreamCredentials(settings, path)
        if (file.isPublic)
          log.warn({ path }, 'every user of this machine can read the credentials for upstreams')
        return file
      }),
      watch: (what, paths, read) => void watch(what, paths, read),
      onReloaded: (call) => void callbacks.push(call),
      reload: () => files.reload(),
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** @throws an Error if the file cannot be used */
export const readUpstreamCredentials = ({ upstream = [] }: Settings, path: string): CredentialFile =>
  CredentialFile.read(
    path,
    upstream.map(({ url }) => url),
  )

const given = (paths: readonly (string | undefined)[]): string[] => paths.filter((path) => path !== undefined)

type Watch = (
  what: string,
  paths: readonly (string | undefined)[],
  read: (earlier: TlsTerminator | undefined) => TlsTerminator,
) => () => TlsTerminator

/** Connections refer to one terminator, so it is kept and reloads itself. */
function openTls(
  settings: Settings,
  certificates: CertificateExpiry,
  metrics: Metrics,
  log: Log,
  watch: Watch,
): TlsTerminator | undefined {
  const files = tlsFilesOf(settings)
  if (!files) return undefined
  const handshakeMs = handshakeMsOf(settings)
  return watch('tls', Object.values(files), (earlier) => {
    earlier?.reload()
    return (
      earlier ??
      new TlsTerminator({ files, handshakeMs, isProxied: settings.proxyProtocol, certificates, metrics, log })
    )
  })()
}
