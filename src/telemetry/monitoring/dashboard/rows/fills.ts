import { fillMetrics } from '../../../metrics/fills.js'
import { processMetrics } from '../../../metrics/processes.js'
import type { Row } from '../panel.js'
import { quantiles, rates, values } from '../queries.js'

export const fillsRow: Row = {
  title: 'Fills and Git processes',
  panels: [
    {
      title: 'Fills',
      description:
        'Runs of Git, or of an upstream, whose result all requests for the same key share. `unshared`: refs changed meanwhile. `loser` is expected to be absent.',
      unit: 'ops',
      queries: [rates(fillMetrics.fills, ['kind', 'result'])],
    },
    {
      title: 'Fills that failed',
      description: 'By fault. The log has the repository and what Git wrote to standard error.',
      unit: 'ops',
      queries: [
        rates(fillMetrics.fillFailures, ['kind', 'fault']),
        rates(fillMetrics.fillRetries, [], { name: 'retries' }),
      ],
    },
    {
      title: 'Duration of fills',
      description: 'From the start of Git until the output was committed or dropped.',
      unit: 's',
      queries: quantiles(fillMetrics.fillSeconds, ['kind']),
    },
    {
      title: 'Bytes of fills',
      description:
        'Bytes that fills produced, by kind. Compare with the bytes sent: the difference came from the cache.',
      unit: 'Bps',
      queries: [rates(fillMetrics.fillBytes, ['kind'])],
    },
    {
      title: 'Followers',
      description: 'Requests that read an entry now, while it grows or after.',
      unit: 'short',
      queries: [values(fillMetrics.followers, ['instance'])],
    },
    {
      title: 'Git processes started',
      description: 'By Git’s command. `upload-pack` follows changes of repositories, not requests.',
      unit: 'ops',
      queries: [rates(processMetrics.processesStarted, ['command'])],
    },
    {
      title: 'Loser writes',
      description:
        'Fills, and their bytes per second, that another fill had made redundant. Expected to be 0.',
      unit: 'ops',
      queries: [
        rates(fillMetrics.loserWrites, ['instance'], { name: 'fills' }),
        rates(fillMetrics.loserBytes, ['instance'], { name: 'bytes' }),
      ],
    },
  ],
}
