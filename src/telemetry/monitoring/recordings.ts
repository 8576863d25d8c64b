import { requestMetrics } from '../metrics/requests.js'
import { upstreamMetrics } from '../metrics/upstream.js'
import { select } from './expression.js'

/** Kinds of requests whose answers are shared. */
const kind = ['advertisement', 'ls-refs'] as const

/** Recording rules: what alerts and dashboards have in common. Names are `level:metric:operations`. */
export const recordings = {
  amplification: {
    record: 'upstream:refstream_upstream_requests_per_client_requests:ratio_rate1h',
    comment:
      'Amplification: requests to an upstream for answers that clients share, per client request for one. At most 1 over any time that begins with the process; over an hour it can be above 1 for a moment, when the request that has paid for a refresh came before that hour.',
    expr: `${select(upstreamMetrics.upstreamRequests, { cause: ['client', 'refresh'] }).rateBy('1h', 'upstream')}
/
${select(upstreamMetrics.upstreamClientRequests).rateBy('1h', 'upstream')}`,
  },
  hitRatio: {
    record: 'instance:refstream_requests_hit_per_requests:ratio_rate5m',
    comment: 'Requests for refs that were answered without a fill of their own, per request for refs.',
    expr: `${select(requestMetrics.requests, { kind, outcome: ['hit', 'joined', 'revalidated'] }).rateBy('5m', 'job', 'instance')}
/
${select(requestMetrics.requests, { kind }).rateBy('5m', 'job', 'instance')}`,
  },
} as const
