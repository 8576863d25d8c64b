import type { Definitions } from './definition.js'

export const programMetrics = {
  ready: {
    type: 'gauge',
    name: 'refstream_ready',
    ofWorkers: 'min',
    help: '1 while `/readyz` answers 200, otherwise 0.',
    details:
      'The body of `/readyz` has the reason. Where the root is on a filesystem that may hang, this is the result of the last check that has ended.',
  },
  buildInfo: {
    type: 'gauge',
    name: 'refstream_build_info',
    ofWorkers: 'max',
    help: 'Always 1; the labels say what runs. Absent until Git has told its version.',
    labels: {
      version: 'of refstream.',
      node: 'version of Node.js.',
      git: 'version of Git, or `unknown`.',
      mode: {
        disk: 'repositories below `--root`.',
        upstream: 'repositories of upstream servers.',
        both: 'both.',
      },
    },
  },
} as const satisfies Definitions

/** Metrics of a process, which have the label `worker` where there are several; prom-client has most of them. */
export const nodeMetrics = {
  eventLoopTime: {
    type: 'counter',
    name: 'nodejs_eventloop_time_seconds_total',
    help: 'Time of the event loop, in seconds.',
    details: 'The rate of `active` is the utilization: near 1, all answers are late.',
    labels: { state: { active: 'callbacks ran.', idle: 'it waited for events.' } },
  },
  eventLoopLag: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_seconds',
    help: 'Delay of a timer, in seconds.',
  },
  cpu: { type: 'counter', name: 'process_cpu_seconds_total', help: 'Processor time, in seconds.' },
  residentMemory: {
    type: 'gauge',
    name: 'process_resident_memory_bytes',
    help: 'Resident memory, in bytes.',
  },
  heapUsed: {
    type: 'gauge',
    name: 'nodejs_heap_size_used_bytes',
    help: 'Memory of JavaScript objects, in bytes.',
  },
  openFds: {
    type: 'gauge',
    name: 'process_open_fds',
    help: 'Open file descriptors; Linux only.',
  },
  maxFds: {
    type: 'gauge',
    name: 'process_max_fds',
    help: 'Most file descriptors that may be open; Linux only.',
  },
  startTime: {
    type: 'gauge',
    name: 'process_start_time_seconds',
    help: 'When the process started, in seconds since 1970.',
  },
} as const satisfies Definitions
