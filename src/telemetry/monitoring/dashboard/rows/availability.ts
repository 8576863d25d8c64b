import { accessMetrics } from '../../../metrics/access.js'
import { nodeMetrics, programMetrics } from '../../../metrics/program.js'
import { workerMetrics } from '../../../metrics/workers.js'
import { selectShown, shown } from '../../expression.js'
import type { Row } from '../panel.js'
import { rates, values } from '../queries.js'

const scope = shown.join(',')

export const availabilityRow: Row = {
  title: 'Is it up?',
  panels: [
    {
      title: 'Alerts',
      description:
        'Alerts of refstream that are firing, as far as prometheus-rules.yml is loaded. Each has a section in docs/runbook.md.',
      unit: 'none',
      as: 'stat',
      thresholds: { from: 1, good: 'below' },
      queries: [
        {
          expr: 'count(ALERTS{alertname=~"Refstream.*",alertstate="firing"}) or vector(0)',
          legend: 'firing',
        },
      ],
    },
    {
      title: 'Scraped',
      description: 'Does Prometheus get an answer from /metrics? If not, clients probably get none either.',
      unit: 'none',
      as: 'stat',
      thresholds: { from: 1, good: 'above' },
      texts: { 0: 'down', 1: 'up' },
      queries: [{ expr: `up{${scope}}`, legend: '{{instance}}' }],
    },
    {
      title: 'Ready',
      description:
        'Does /readyz answer 200? If not, load balancers send no requests; the body of /readyz says why.',
      unit: 'none',
      as: 'stat',
      thresholds: { from: 1, good: 'above' },
      texts: { 0: 'not ready', 1: 'ready' },
      queries: [{ expr: selectShown(programMetrics.ready).text, legend: '{{instance}}' }],
    },
    {
      title: 'Versions',
      description: 'What runs: instances that differ are in the middle of an upgrade, or were forgotten.',
      unit: 'none',
      as: 'name',
      queries: [
        {
          expr: selectShown(programMetrics.buildInfo).text,
          legend: '{{instance}}: refstream {{version}}, Git {{git}}, Node {{node}}, {{mode}}',
        },
      ],
    },
    {
      title: 'Time since the start',
      description: 'How long each instance has run. One that is always young is being restarted.',
      unit: 's',
      as: 'stat',
      queries: [
        {
          expr: `time() - min by (job, instance) (${selectShown(nodeMetrics.startTime).text})`,
          legend: '{{instance}}',
        },
      ],
    },
    {
      title: 'Certificates',
      description:
        'Time until the certificates expire that refstream shows to others or accepts clients by. Empty without TLS.',
      unit: 's',
      as: 'stat',
      thresholds: { from: 14 * 86_400, good: 'above' },
      queries: [
        {
          expr: `${selectShown(accessMetrics.tlsExpiry).text} - time()`,
          legend: '{{instance}} {{setting}}',
        },
      ],
    },
    {
      title: 'Workers',
      description:
        'Worker processes by state. A missing one hangs, or has ended and is about to be started again.',
      unit: 'none',
      queries: [
        values(workerMetrics.workers, ['instance', 'state']),
        rates(workerMetrics.restarts, ['instance'], { name: 'restarts per second' }),
      ],
    },
  ],
}
