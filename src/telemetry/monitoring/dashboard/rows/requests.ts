import { accessMetrics } from '../../../metrics/access.js'
import { connectionMetrics, requestMetrics } from '../../../metrics/requests.js'
import { selectShown } from '../../expression.js'
import { hitRatioOf } from '../../recordings.js'
import type { Row } from '../panel.js'
import { quantiles, rates, window } from '../queries.js'

const { requests } = requestMetrics
const refs = { kind: ['advertisement', 'ls-refs'] } as const

export const requestsRow: Row = {
  title: 'Who asks, and what do they get?',
  panels: [
    {
      title: 'Requests by outcome',
      description:
        '`hit` and `joined` cost no Git process. `error` and `shed` are failures for the client; `filled` and `gathered` mean that repositories change, or that the cache is too small.',
      unit: 'reqps',
      queries: [rates(requests, ['outcome'])],
    },
    {
      title: 'Requests by kind',
      description: 'What clients ask for, over HTTP and gRPC, by version of Git’s protocol.',
      unit: 'reqps',
      queries: [rates(requests, ['transport', 'kind', 'protocol'])],
    },
    {
      title: 'Hit ratio',
      description: 'Requests for refs that were answered without a fill of their own, per request for refs.',
      unit: 'percentunit',
      queries: [{ expr: hitRatioOf(selectShown, window), legend: '{{instance}}' }],
    },
    {
      title: 'Time to the first byte: refs',
      description:
        'From the arrival of a request for refs to the first byte of its answer, waiting for admission, Git and authorization included.',
      unit: 's',
      queries: quantiles(requestMetrics.firstByteSeconds, [], { where: refs }),
    },
    {
      title: 'Time to the first byte: fetches',
      description: 'The same for the rest of a fetch: the negotiation and the pack.',
      unit: 's',
      queries: quantiles(requestMetrics.firstByteSeconds, [], { where: { kind: 'upload-pack' } }),
    },
    {
      title: 'Errors and shed requests',
      description: 'Their share of all requests. The log has the reason of each error.',
      unit: 'percentunit',
      queries: [
        {
          expr: `${selectShown(requests, { outcome: ['error', 'shed'] }).rateBy(window, 'job', 'instance', 'outcome')}
/ on (job, instance) group_left
${selectShown(requests).rateBy(window, 'job', 'instance')}`,
          legend: '{{instance}} {{outcome}}',
        },
      ],
    },
    {
      title: 'Bytes sent',
      description: 'Body bytes sent to clients, by what they asked for.',
      unit: 'Bps',
      queries: [rates(requestMetrics.sentBytes, ['kind'])],
    },
    {
      title: 'Bytes saved',
      description:
        'Body bytes that were not sent because the client accepted a compressed form, or because a refstream above this one was sent differences only.',
      unit: 'Bps',
      queries: [
        rates(requestMetrics.compressionSaved, ['encoding']),
        rates(requestMetrics.deltaSaved, ['kind'], { name: 'differences:' }),
      ],
    },
    {
      title: 'Answers as differences',
      description:
        'Answers to a refstream above this one that were sent as their differences from an earlier one.',
      unit: 'ops',
      queries: [rates(requestMetrics.deltaAnswers, ['kind'])],
    },
    {
      title: 'Clients cut off',
      description:
        'Connections and calls that were ended because the client was too slow, silent or greedy, by reason.',
      unit: 'ops',
      queries: [
        rates(connectionMetrics.clientsCut, ['reason']),
        rates(connectionMetrics.incomingCut, ['reason'], { name: 'gRPC' }),
        rates(connectionMetrics.passThroughCut, [], { name: 'pass-through: no byte moved' }),
      ],
    },
    {
      title: 'Logins and refused connections',
      description:
        'Passwords that were checked, requests to auth-url; connections without a sound TLS handshake or PROXY header, and requests to the admin address, that were refused.',
      unit: 'ops',
      queries: [
        rates(accessMetrics.authChecks, ['by', 'result']),
        rates(accessMetrics.tlsRefused, ['reason'], { name: 'TLS refused:' }),
        rates(accessMetrics.proxyHeadersRefused, ['reason'], { name: 'PROXY header refused:' }),
        rates(accessMetrics.adminRefused, ['reason'], { name: 'admin refused:' }),
      ],
    },
  ],
}
