import type { Definitions } from './definition.js'

/** What a process is for. */
const processClass = {
  fill: 'fills that answer with refs.',
  pack: 'fetches whose packs are shared.',
  pass: 'pass-through: pushes, fetches and negotiation that are not shared, archives, files of the dumb protocol.',
}

export const processMetrics = {
  processesStarted: {
    type: 'counter',
    name: 'refstream_processes_started_total',
    help: 'Git processes started.',
    details:
      '`command="upload-pack"` grows with changes of repositories and with the packs that fetches ask for (`refstream_packs_total{result="filled"}`), not with requests.',
    labels: { command: 'the Git command: `upload-pack`, `http-backend` and a few that examine Git itself.' },
  },
  processesRunning: {
    type: 'gauge',
    name: 'refstream_processes_running',
    help: 'Git processes running.',
  },
  processLimit: {
    type: 'gauge',
    name: 'refstream_process_limit',
    help: 'Current limit of simultaneous Git processes.',
    details: '`--max-processes`, or with `--adaptive-processes` what the AIMD controller currently allows.',
  },
  permitsHeld: {
    type: 'gauge',
    name: 'refstream_process_permits_held',
    help: 'Permits to run a Git process that are held.',
    labels: { class: processClass },
  },
  permitsWaiting: {
    type: 'gauge',
    name: 'refstream_process_permits_waiting',
    help: 'Git processes that wait for a permit to start.',
    labels: { class: processClass },
  },
  permitWaitSeconds: {
    type: 'histogram',
    name: 'refstream_process_permit_wait_seconds',
    help: 'Time that Git processes waited for a permit to start, in seconds.',
    labels: { class: processClass },
  },
  processesShed: {
    type: 'counter',
    name: 'refstream_processes_shed_total',
    fromZero: true,
    help: 'Git processes that got no permit to start; the requests that waited for them were shed.',
    labels: {
      class: processClass,
      reason: {
        'queue-full': 'the queue was full (`--queue-max`).',
        wait: 'the process was queued for longer than `--queue-wait-seconds`.',
      },
    },
  },
} as const satisfies Definitions
