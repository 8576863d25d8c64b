import { accessMetrics } from '../../../metrics/access.js'
import { logMetrics } from '../../../metrics/log.js'
import { nodeMetrics } from '../../../metrics/program.js'
import type { Row } from '../panel.js'
import { rates, values } from '../queries.js'

/** With workers, each process has series of its own. */
const each = ['instance', 'worker'] as const

export const processRow: Row = {
  title: 'Process',
  panels: [
    {
      title: 'Use of the event loop',
      description:
        'Share of the time in which the thread was busy. Near 100 %, all answers are late: use --workers.',
      unit: 'percentunit',
      queries: [rates(nodeMetrics.eventLoopTime, each, { where: { state: 'active' } })],
    },
    {
      title: 'Delay of the event loop',
      description: 'Delay of a timer at each scrape.',
      unit: 's',
      queries: [values(nodeMetrics.eventLoopLag, each)],
    },
    {
      title: 'Processors',
      description: 'Processor seconds per second of refstream itself, without its Git processes.',
      unit: 'short',
      queries: [rates(nodeMetrics.cpu, each)],
    },
    {
      title: 'Memory',
      description: 'Resident memory, and the part of it that JavaScript objects take.',
      unit: 'bytes',
      queries: [
        values(nodeMetrics.residentMemory, each, { name: 'resident:' }),
        values(nodeMetrics.heapUsed, each, { name: 'heap:' }),
      ],
    },
    {
      title: 'File descriptors',
      description: 'Open ones, with their limit. Each connection, Git process and entry takes some.',
      unit: 'short',
      queries: [values(nodeMetrics.openFds, each), values(nodeMetrics.maxFds, each, { name: 'limit of' })],
    },
    {
      title: 'Log and reloads',
      description:
        'Log lines that could not be written, and certificates, tokens and passwords that were read again. `failed`: the earlier content stays in use.',
      unit: 'ops',
      queries: [
        rates(logMetrics.logLinesDropped, ['instance'], { name: 'lines dropped:' }),
        rates(accessMetrics.reloads, ['what', 'result']),
      ],
    },
  ],
}
