import type { Definitions } from './definition.js'

export const logMetrics = {
  logLinesDropped: {
    type: 'counter',
    name: 'refstream_log_lines_dropped_total',
    help: 'Log lines dropped because they could not be written: the disk was full, or the pipe was not read.',
  },
} as const satisfies Definitions
