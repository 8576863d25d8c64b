import { readFileSync } from 'node:fs'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'
import { packageVersion } from '../config/version.js'
import { UpstreamClient } from '../origin/upstream/client/upstream-client.js'
import { atMostEvery, type Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'

/** Least time in milliseconds between two log lines about an upstream that fails. */
const failuresQuietMs = 10_000

/** Opens the HTTP client of one upstream. @throws ConfigError */
export function openUpstreamClient(
  settings: Settings,
  url: string,
  name: string,
  environment: NodeJS.ProcessEnv,
  gitVersion: string,
  metrics: Metrics,
  log: Log,
): UpstreamClient {
  const upstream = { upstream: name }
  metrics.upstreamBreakerOpen.set(upstream, 0)
  metrics.upstreamConnections.set(upstream, 0)
  const failed = atMostEvery(failuresQuietMs, (reason: string) =>
    log.warn({ upstream: name, reason }, 'an upstream request failed'),
  )
  try {
    return new UpstreamClient({
      url,
      connections: settings.upstreamConnections,
      connectMs: settings.upstreamConnectSeconds * 1000,
      headMs: settings.upstreamHeadSeconds * 1000,
      silenceMs: settings.upstreamSilenceSeconds * 1000,
      passSilenceMs: settings.passThroughSilenceSeconds * 1000,
      queue: { queueMax: settings.queueMax, waitMs: settings.queueWaitSeconds * 1000 },
      ...pemFiles(settings),
      http2: settings.upstreamHttp2,
      environment,
      redirectHosts: settings.upstreamRedirectHosts,
      deny: settings.upstreamDeny?.map(({ address, bits }) => `${address}/${bits}`),
      userAgent: `git/${gitVersion} refstream/${packageVersion()}`,
      events: {
        failed: (_host, _class, error) => failed(error.message),
        replayed: () => metrics.upstreamReplays.inc(upstream),
        breakerChanged: (host, isOpen) => {
          metrics.upstreamBreakerOpen.set(upstream, Number(isOpen))
          if (isOpen) log.error({ host }, 'an upstream keeps failing; it is asked again after a pause')
          else log.info({ host }, 'the upstream answers again')
        },
        connectionsChanged: (open) => metrics.upstreamConnections.set(upstream, open),
        granted: (permitClass, waitedMs) =>
          metrics.permitWaitSeconds.observe({ class: permitClass }, waitedMs / 1000),
        shed: (permitClass, reason) => metrics.processesShed.inc({ class: permitClass, reason }),
      },
    })
  } catch (error) {
    throw new ConfigError(`--upstream: ${(error as Error).message}`)
  }
}

function pemFiles({ upstreamCa, upstreamClientCert, upstreamClientKey }: Settings) {
  const read = (option: string, path: string | undefined): string | undefined => {
    try {
      return path === undefined ? undefined : readFileSync(path, 'utf8')
    } catch (error) {
      throw new Error(`--${option}: ${(error as Error).message}`, { cause: error })
    }
  }
  return {
    ca: read('upstream-ca', upstreamCa),
    cert: read('upstream-client-cert', upstreamClientCert),
    key: read('upstream-client-key', upstreamClientKey),
  }
}
