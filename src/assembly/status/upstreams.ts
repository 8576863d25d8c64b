import type { UpstreamStatus } from '../../status/model.js'
import type { Metrics } from '../../telemetry/metrics.js'

type UpstreamMetrics = Pick<
  Metrics,
  'upstreamBreakerOpen' | 'upstreamConnections' | 'upstreamClientRequests' | 'upstreamRequests'
>

/** Causes of requests that belong to clients' questions about refs; packs and pass-through are others. */
const causes = new Set<unknown>(['client', 'refresh'])

/** Remembers when each upstream answered last. */
export class UpstreamAnswers {
  readonly #at = new Map<string, number>()

  readonly answered = (upstream: string): void => void this.#at.set(upstream, performance.now())

  secondsAgo(upstream: string): number | undefined {
    const at = this.#at.get(upstream)
    return at === undefined ? undefined : Math.round(performance.now() - at) / 1000
  }
}

/** Reads what is known of the upstreams from their metrics. */
export async function upstreamStatuses(
  metrics: UpstreamMetrics,
  answers: UpstreamAnswers,
): Promise<UpstreamStatus[]> {
  const [breakers, connections, asked, sent] = await Promise.all([
    metrics.upstreamBreakerOpen.get(),
    metrics.upstreamConnections.get(),
    metrics.upstreamClientRequests.get(),
    metrics.upstreamRequests.get(),
  ])
  return breakers.values.map(({ value, labels: { upstream } }) => {
    const name = String(upstream)
    const of = ({ values }: { values: readonly Value[] }): number =>
      values.filter(({ labels }) => labels['upstream'] === name).reduce((sum, each) => sum + each.value, 0)
    const clientRequests = of(asked)
    const upstreamRequests = of({ values: sent.values.filter(({ labels }) => causes.has(labels.cause)) })
    const answeredSecondsAgo = answers.secondsAgo(name)
    return {
      name,
      breaker: value === 1 ? 'open' : 'closed',
      connections: of(connections),
      ...{ clientRequests, upstreamRequests },
      ...(clientRequests > 0 && { quotient: upstreamRequests / clientRequests }),
      ...(answeredSecondsAgo !== undefined && { answeredSecondsAgo }),
    }
  })
}

interface Value {
  readonly value: number
  readonly labels: Readonly<Partial<Record<string, string | number>>>
}
