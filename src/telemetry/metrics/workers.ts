import type { Definitions } from './definition.js'

export const workerMetrics = {
  workers: {
    type: 'gauge',
    name: 'refstream_workers',
    help: 'Worker processes, by whether they have answered this scrape.',
    details:
      'Other values of a worker that has not answered are those of its last scrape, so that no counter goes down.',
    labels: {
      state: {
        up: 'it has.',
        missing: 'it has not within a second, or it has ended and is about to be started again.',
      },
    },
    ofWorkers: 'first',
  },
  restarts: {
    type: 'counter',
    name: 'refstream_workers_restarts_total',
    help: 'Worker processes that were started in place of one that had ended.',
    ofWorkers: 'first',
  },
} as const satisfies Definitions
