import { processMetrics } from '../../../metrics/processes.js'
import { requestMetrics } from '../../../metrics/requests.js'
import type { Row } from '../panel.js'
import { quantiles, rates, values } from '../queries.js'

export const limitsRow: Row = {
  title: 'Queues, permits and shedding',
  panels: [
    {
      title: 'Requests in progress and waiting',
      description:
        'Admitted requests, those in the admission queue, and those behind an earlier one on their connection.',
      unit: 'short',
      queries: [
        values(requestMetrics.requestsUnderWay, ['instance'], { name: 'in progress:' }),
        values(requestMetrics.requestsWaiting, ['instance'], { name: 'waiting:' }),
        values(requestMetrics.requestsPipelined, ['instance'], { name: 'pipelined:' }),
      ],
    },
    {
      title: 'Time in the admission queue',
      description: 'How long requests were queued because the event loop was saturated. Empty if none was.',
      unit: 's',
      queries: quantiles(requestMetrics.admissionWaitSeconds),
    },
    {
      title: 'Permits for Git processes',
      description:
        'Permits that are held and Git processes that run, with their limit. At the limit, others wait.',
      unit: 'short',
      queries: [
        values(processMetrics.permitsHeld, ['class']),
        values(processMetrics.processesRunning, [], { name: 'running' }),
        values(processMetrics.processLimit, [], { name: 'limit' }),
      ],
    },
    {
      title: 'Git processes that wait for a permit',
      description:
        'By class. Some now and then are normal; a queue that stays wants more processes, or fewer changes.',
      unit: 'short',
      queries: [values(processMetrics.permitsWaiting, ['class'])],
    },
    {
      title: 'Time until a permit',
      description: 'How long Git processes waited for their permit.',
      unit: 's',
      queries: quantiles(processMetrics.permitWaitSeconds, ['class']),
    },
    {
      title: 'Shed',
      description:
        'Requests answered with 429 and Retry-After, by the limit that was reached; docs/limits.md has a section about each.',
      unit: 'reqps',
      queries: [
        rates(requestMetrics.requestsShed, ['reason']),
        rates(processMetrics.processesShed, ['class', 'reason']),
      ],
    },
    {
      title: 'Memory for request bodies',
      description: 'Bounded by max-body-memory-bytes.',
      unit: 'bytes',
      queries: [values(requestMetrics.requestBodyBytes, ['instance'])],
    },
  ],
}
