import type { Definitions } from './definition.js'

export const freshnessMetrics = {
  observations: {
    type: 'counter',
    name: 'refstream_observations_total',
    help: 'Observations of a repository’s state on disk.',
    details: 'One observation serves all requests that arrived before it began.',
    labels: {
      result: {
        settled: 'the state is known.',
        unsettled:
          'changed too recently for timestamps to be trusted, or an included configuration file cannot be followed ([troubleshooting.md](troubleshooting.md)); requests share the next fill.',
        leased: 'a mutator lease is open on a repository in lease mode.',
        missing: 'there is no such repository.',
        timeout:
          'the repository’s filesystem did not answer within `--observe-timeout-seconds`, or has not answered since.',
      },
    },
  },
  observerProcesses: {
    type: 'gauge',
    name: 'refstream_observer_processes',
    help: 'Processes that observe repositories on network filesystems and on filesystems of unknown type.',
    labels: {
      state: {
        running: 'in use, or idle for less than five minutes.',
        stuck: 'killed because the filesystem does not answer, and not gone yet: the kernel holds it.',
      },
    },
  },
  repositories: {
    type: 'gauge',
    name: 'refstream_repositories',
    ofWorkers: 'max',
    help: 'Repositories requested recently, by freshness mode.',
    details: '`refstream doctor` tells the mode and the reason for each repository.',
    labels: {
      mode: {
        observe: 'the disk is observed before each answer.',
        lease: 'mutator leases and `--unleased-max-age-seconds` decide.',
      },
      reason: {
        configured: 'a rule of `--freshness` says so.',
        local: 'the repository is on a local filesystem.',
        network: 'the repository is on a network filesystem.',
        directories: 'it has more directories under `refs/` than `--max-ref-directories`.',
      },
    },
  },
  leasesOpen: {
    type: 'gauge',
    name: 'refstream_leases_open',
    ofWorkers: 'first',
    help: 'Mutator leases that are open; in a fleet of several hosts, those opened by this node.',
  },
  leasesOpened: {
    type: 'counter',
    name: 'refstream_leases_opened_total',
    help: 'Mutator leases opened, including those of pushes through refstream.',
  },
  leasesEnded: {
    type: 'counter',
    name: 'refstream_leases_ended_total',
    help: 'Mutator leases that ended.',
    labels: {
      end: {
        changed: 'the holder ended it; the repository may have changed.',
        unchanged: 'the holder ended it and said that nothing changed.',
        expired: 'nothing renewed it in time: the holder has crashed or is slow. It counts as a change.',
      },
    },
  },
  invalidations: {
    type: 'counter',
    name: 'refstream_invalidations_total',
    help: 'Invalidations requested.',
    labels: {
      source: '`api` (`/v1/invalidate`), `grpc`, or the kind of webhook: `gitea`, `gitlab`, `github`.',
    },
  },
} as const satisfies Definitions
