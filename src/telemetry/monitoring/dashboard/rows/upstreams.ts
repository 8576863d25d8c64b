import { upstreamMetrics } from '../../../metrics/upstream.js'
import { selectShown } from '../../expression.js'
import { amplificationOf } from '../../recordings.js'
import type { Row } from '../panel.js'
import { quantiles, rates, values, window } from '../queries.js'

export const upstreamsRow: Row = {
  title: 'Upstreams',
  isOptional: true,
  panels: [
    {
      title: 'Amplification',
      description:
        'Requests to an upstream for refs per client request for refs. It stays at or below 1, but for moments.',
      unit: 'none',
      queries: [{ expr: amplificationOf(selectShown, window), legend: '{{upstream}}' }],
    },
    {
      title: 'Circuit breaker',
      description: 'Open: the upstream keeps failing, or has asked for a pause, and is not asked meanwhile.',
      unit: 'none',
      as: 'stat',
      thresholds: { from: 1, good: 'below' },
      texts: { 0: 'closed', 1: 'open' },
      queries: [
        {
          expr: `max by (upstream) (${selectShown(upstreamMetrics.upstreamBreakerOpen).text})`,
          legend: '{{upstream}}',
        },
      ],
    },
    {
      title: 'Age of answers',
      description: 'How old what was known of the upstream’s refs was when a client was answered.',
      unit: 's',
      queries: quantiles(upstreamMetrics.upstreamAnswerAge, ['upstream']),
    },
    {
      title: 'Stale answers',
      description:
        'Answers older than their bound, because the upstream could not be asked, and kept entries that it did not have any more.',
      unit: 'reqps',
      queries: [
        rates(upstreamMetrics.upstreamStaleAnswers, ['upstream']),
        rates(upstreamMetrics.upstreamDroppedEntries, ['upstream'], { name: 'dropped:' }),
      ],
    },
    {
      title: 'Requests to upstreams',
      description: 'By cause and result, and the questions about refs that clients asked.',
      unit: 'reqps',
      queries: [
        rates(upstreamMetrics.upstreamRequests, ['upstream', 'cause', 'result']),
        rates(upstreamMetrics.upstreamClientRequests, ['upstream'], { name: 'asked by clients:' }),
        rates(upstreamMetrics.upstreamReplays, ['upstream'], { name: 'replayed:' }),
      ],
    },
    {
      title: 'Connections',
      description: 'Open connections to an upstream; bounded by upstream-connections for each host.',
      unit: 'short',
      queries: [values(upstreamMetrics.upstreamConnections, ['instance', 'upstream'])],
    },
    {
      title: 'Time until a connection',
      description: 'How long requests to an upstream waited for one of its connections.',
      unit: 's',
      queries: quantiles(upstreamMetrics.upstreamWaitSeconds, ['class']),
    },
    {
      title: 'Shed for want of a connection',
      description: 'Requests that were shed because too many waited for a connection, or for too long.',
      unit: 'reqps',
      queries: [rates(upstreamMetrics.upstreamShed, ['upstream', 'class', 'reason'])],
    },
    {
      title: 'Differences received',
      description:
        'Answers that an upstream, a refstream, sent as differences, and the bytes per second that it saved.',
      unit: 'short',
      queries: [
        rates(upstreamMetrics.upstreamDeltas, ['upstream', 'result']),
        rates(upstreamMetrics.upstreamDeltaSaved, ['upstream'], { name: 'bytes:' }),
      ],
    },
  ],
}
