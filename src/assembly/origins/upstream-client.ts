import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'
import { packageVersion } from '../../config/version.js'
import { UpstreamClient } from '../../origin/upstream/client/upstream-client.js'
import { atMostEvery, type Log } from '../../telemetry/log.js'
import { showZeros, type Metrics } from '../../telemetry/metrics.js'
import { upstreamMetrics } from '../../telemetry/metrics/upstream.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import { readUpstreamPem } from './upstream-pem.js'

/** Least time in milliseconds between two log lines about an upstream that fails. */
const failuresQuietMs = 10_000

/** What is told of requests to upstreams. */
export interface UpstreamMonitors {
  readonly metrics: Metrics
  /** Called when an upstream has answered, in whatever way. */
  readonly answered?: ((upstream: string) => void) | undefined
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
  readonly log: Log
}

/** Opens the HTTP client of one upstream. @throws ConfigError */
export function openUpstreamClient(
  settings: Settings,
  url: string,
  name: string,
  environment: NodeJS.ProcessEnv,
  gitVersion: string,
  { metrics, answered, tracing, log }: UpstreamMonitors,
): UpstreamClient {
  const pem = readUpstreamPem(settings)
  const upstream = { upstream: name }
  metrics.upstreamBreakerOpen.set(upstream, 0)
  metrics.upstreamConnections.set(upstream, 0)
  showZeros(metrics.upstreamStaleAnswers, upstreamMetrics.upstreamStaleAnswers, upstream)
  showZeros(metrics.upstreamShed, upstreamMetrics.upstreamShed, upstream)
  showZeros(metrics.upstreamReplays, upstreamMetrics.upstreamReplays, upstream)
  showZeros(metrics.upstreamDeltas, upstreamMetrics.upstreamDeltas, upstream)
  showZeros(metrics.upstreamDroppedEntries, upstreamMetrics.upstreamDroppedEntries, upstream)
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
      ...pem,
      http2: settings.upstreamHttp2,
      environment,
      redirectHosts: settings.upstreamRedirectHosts,
      deny: settings.upstreamDeny?.map(({ address, bits }) => `${address}/${bits}`),
      tracing,
      userAgent: `git/${gitVersion} refstream/${packageVersion()}`,
      events: {
        answered: () => answered?.(name),
        failed: (_host, _class, error) => failed(error.message),
        replayed: () => metrics.upstreamReplays.inc(upstream),
        breakerChanged: (host, isOpen) => {
          metrics.upstreamBreakerOpen.set(upstream, Number(isOpen))
          if (isOpen) log.error({ host }, 'an upstream keeps failing; it is asked again after a pause')
          else log.info({ host }, 'the upstream answers again')
        },
        connectionsChanged: (open) => metrics.upstreamConnections.set(upstream, open),
        granted: (permitClass, waitedMs) =>
          metrics.upstreamWaitSeconds.observe({ ...upstream, class: permitClass }, waitedMs / 1000),
        shed: (permitClass, reason) => metrics.upstreamShed.inc({ ...upstream, class: permitClass, reason }),
      },
    })
  } catch (error) {
    throw new ConfigError(`--upstream: ${(error as Error).message}`)
  }
}
