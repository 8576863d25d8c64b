import { requestMetrics } from '../metrics/requests.js'
import { upstreamMetrics } from '../metrics/upstream.js'
import { select, type Select } from './expression.js'

/** Kinds of requests whose answers are shared. */
const kind = ['advertisement', 'ls-refs'] as const

/** Returns PromQL for requests to an upstream for answers that clients share, per client request for one. */
export const amplificationOf = (of: Select, window: string): string =>
  `${of(upstreamMetrics.upstreamRequests, { cause: ['client', 'refresh'] }).rateBy(window, 'upstream')}
/
${of(upstreamMetrics.upstreamClientRequests).rateBy(window, 'upstream')}`

/** Returns PromQL for the requests for refs that were answered without a fill of their own, per request for refs. */
export const hitRatioOf = (of: Select, window: string): string =>
  `${of(requestMetrics.requests, { kind, outcome: ['hit', 'joined', 'revalidated'] }).rateBy(window, 'job', 'instance')}
/
${of(requestMetrics.requests, { kind }).rateBy(window, 'job', 'instance')}`

/** Recording rules. Names are `level:metric:operations`. */
export const recordings = {
  amplification: {
    record: 'upstream:refstream_upstream_requests_per_client_requests:ratio_rate1h',
    comment:
      'Amplification: requests to an upstream for answers that clients share, per client request for one. At most 1 over any time that begins with the process; over an hour it can be above 1 for a moment, when the request that has paid for a refresh came before that hour.',
    expr: amplificationOf(select, '1h'),
  },
  hitRatio: {
    record: 'instance:refstream_requests_hit_per_requests:ratio_rate5m',
    comment: 'Requests for refs that were answered without a fill of their own, per request for refs.',
    expr: hitRatioOf(select, '5m'),
  },
} as const
