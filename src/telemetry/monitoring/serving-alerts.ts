import { fillMetrics } from '../metrics/fills.js'
import { freshnessMetrics } from '../metrics/freshness.js'
import { logMetrics } from '../metrics/log.js'
import { processMetrics } from '../metrics/processes.js'
import { nodeMetrics, programMetrics } from '../metrics/program.js'
import { requestMetrics } from '../metrics/requests.js'
import { upstreamMetrics } from '../metrics/upstream.js'
import { workerMetrics } from '../metrics/workers.js'
import type { Alert } from './alert.js'
import { select } from './expression.js'

/** Failures of Git, of an upstream or of a filesystem: not those of one client, and not those of overload. */
const fault = [
  ...(['producer', 'first-byte', 'silence', 'timeout', 'unanswered', 'unavailable', 'peer'] as const),
]
const shed = [
  select(requestMetrics.requestsShed),
  select(processMetrics.processesShed),
  select(upstreamMetrics.upstreamShed),
].map((each) => each.rate('5m'))

/** Alerts about requests that are not answered, or late. */
export const servingAlerts = {
  RefstreamDown: {
    value: 'up{job="refstream"}',
    condition: '== 0',
    for: '2m',
    severity: 'page',
    summary: 'refstream on {{ $labels.instance }} cannot be scraped',
    description: 'Clients of this instance probably get no answer.',
    meaning:
      'Prometheus gets no answer from `/metrics`. The rule expects the scrape job to be named `refstream`.',
    look: [
      'The service: `systemctl status refstream`, or the state of the pod.',
      'The last lines of its log.',
    ],
    act: ['Start it again. An exit code of 2 means that a setting is wrong; the log names it.'],
  },
  RefstreamNotReady: {
    value: select(programMetrics.ready).text,
    condition: '== 0',
    for: '2m',
    severity: 'page',
    summary: 'refstream on {{ $labels.instance }} is not ready',
    description: 'Load balancers send no requests here; without another instance, clients get no answer.',
    meaning:
      'It is shutting down, sheds requests, or the repositories root is missing, cannot be entered, or is on a filesystem that does not answer.',
    look: [
      'The body of `/readyz`: it has the reason.',
      '`mount`, and `ls` of the root as the user of the service.',
    ],
    act: ['Mount the root, or give back the permission. For overload see RefstreamShedding.'],
  },
  RefstreamShedding: {
    value: `sum by (job, instance) (\n  ${shed.join('\n  or\n  ')}\n)`,
    condition: '> 0',
    for: '5m',
    severity: 'page',
    summary: 'refstream on {{ $labels.instance }} sheds requests',
    description: 'Some clients get 429 with Retry-After, and their fetches fail or are late.',
    meaning: 'A queue is full, or requests wait in it for too long.',
    look: [
      '`refstream_requests_shed_total`, `refstream_processes_shed_total` and `refstream_upstream_shed_total` by `reason`: they name the limit.',
      'Processor, memory and disk of the machine; `refstream_process_permits_waiting`.',
    ],
    act: ['Add capacity, or raise the limit that is named: [limits.md](limits.md).'],
  },
  RefstreamErrors: {
    value: `${select(requestMetrics.requests, { outcome: 'error' }).rateBy('10m', 'job', 'instance')}
/
${select(requestMetrics.requests).rateBy('10m', 'job', 'instance')}`,
    condition: '> 0.01',
    for: '10m',
    severity: 'page',
    summary: 'refstream on {{ $labels.instance }} fails more than 1 % of its requests',
    description: 'Clients get errors, or streams that break off.',
    meaning: 'More than one request of a hundred has had the outcome `error` for ten minutes.',
    look: ['The log: it has Git’s standard error.', '`refstream_fill_failures_total` by `fault`.'],
    act: ['`refstream doctor` lists the refs of each repository with Git, and names those that fail.'],
  },
  RefstreamFillsFailing: {
    value: `${select(fillMetrics.fillFailures, { fault }).rateBy('10m', 'job', 'instance', 'kind')}
/
${select(fillMetrics.fills).rateBy('10m', 'job', 'instance', 'kind')}`,
    condition: '> 0.05',
    for: '10m',
    severity: 'page',
    summary: 'refstream on {{ $labels.instance }}: fills of kind {{ $labels.kind }} fail',
    description: 'Clients of the repositories concerned get errors.',
    meaning:
      'More than 5 % of the fills fail by Git, by the upstream or by a filesystem that does not answer.',
    look: ['`refstream_fill_failures_total` by `fault`.', 'The log: repository and Git’s standard error.'],
    act: ['Repair the repository (`git fsck`) or the Git installation.', 'Kill what blocks the disk.'],
  },
  RefstreamBackingOff: {
    value: select(fillMetrics.fillFailures, { fault: 'backing-off' }).rateBy('5m', 'job', 'instance', 'kind'),
    condition: '> 0',
    for: '10m',
    severity: 'ticket',
    summary: 'refstream on {{ $labels.instance }} is backing off from something that keeps failing',
    description: 'Clients of at least one repository get its last error, with Retry-After.',
    meaning: 'A key has failed several times in a row, and is tried at growing intervals of up to a minute.',
    look: ['The log names the repository.', '`refstream doctor` tells what its Git says.'],
    act: ['As for RefstreamFillsFailing. The first fill that succeeds ends the back-off.'],
  },
  RefstreamEventLoopSaturated: {
    value: select(nodeMetrics.eventLoopTime, { state: 'active' }).rate('5m'),
    condition: '> 0.9',
    for: '10m',
    severity: 'ticket',
    summary: 'refstream on {{ $labels.instance }}: the event loop is busy for more than 90 % of the time',
    description: 'All answers of this process are late; soon requests are queued and shed.',
    meaning: 'One thread does nearly all work of a process, and that thread has no more time.',
    look: ['Request rate and bytes sent; `refstream_requests_waiting`.', 'Clients that ask too often.'],
    act: ['Use `--workers`, or more instances.', 'Make clients ask for fewer refs, or less often.'],
  },
  RefstreamFilesystemHangs: {
    value: select(freshnessMetrics.observations, { result: 'timeout' }).increase('10m'),
    condition: '> 0',
    for: '0s',
    severity: 'page',
    summary: 'refstream on {{ $labels.instance }}: a filesystem of repositories does not answer',
    description: 'Requests for repositories on it get 503 until it answers.',
    meaning: 'An observation of a repository took longer than `--observe-timeout-seconds`.',
    look: ['The log names the mount point.', '`refstream_observer_processes` with `state="stuck"`.'],
    act: ['Repair the file server or the network; refstream goes on by itself when it answers.'],
  },
  RefstreamWorkerMissing: {
    value: select(workerMetrics.workers, { state: 'missing' }).text,
    condition: '> 0',
    for: '5m',
    severity: 'ticket',
    summary: 'refstream on {{ $labels.instance }} has workers that do not answer',
    description: 'There is less capacity; answers may be late.',
    meaning: 'A worker process hangs, or ends again and again.',
    look: ['`refstream_workers_restarts_total`.', 'The log, for the exit code or the signal.'],
    act: ['Look for the out-of-memory killer in the kernel’s log. Restart refstream; report a crash.'],
  },
  RefstreamLogLinesDropped: {
    value: select(logMetrics.logLinesDropped).increase('15m'),
    condition: '> 0',
    for: '0s',
    severity: 'ticket',
    summary: 'refstream on {{ $labels.instance }} loses log lines',
    description: 'Clients notice nothing, but the next incident has no log.',
    meaning: 'The log’s file or pipe could not be written.',
    look: ['Free space of the log’s disk; the reader of the pipe.'],
    act: ['Make room, or repair the reader.'],
  },
} as const satisfies Readonly<Record<string, Alert>>
