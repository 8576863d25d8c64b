import type { Definitions } from './definition.js'

export const freshnessMetrics = {
  observations: {
    type: 'counter',
    name: 'refstream_observations_total',
    fromZero: true,
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
    fromZero: true,
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
  splices: {
    type: 'counter',
    name: 'refstream_splices_total',
    help: 'Fills of refs, by whether they cost what had changed (spliced), or why they listed all refs.',
    details:
      'A splice asks Git for the refs that may have changed, and takes all others from the last listing; an advertisement of protocol v0 or v1 is made from the listing of the same state.',
    labels: {
      kind: {
        advertisement: 'the answer to `info/refs` in protocol v0 or v1.',
        listing: 'all refs of a repository, from which every ls-refs command is answered.',
      },
      result: {
        spliced: 'only what had changed was asked for.',
        unknown:
          'nothing was known of an earlier state: the first fill, the first change after a start, or lease mode in a fleet.',
        configuration: 'the configuration, `shallow` or the Git program had changed.',
        head: 'HEAD had changed.',
        links: 'there are links under refs/.',
        candidates: 'too many refs may have changed.',
        'packed-refs': 'the earlier packed-refs was not held, or one of both is not sorted.',
        reftable: 'the tables were compacted from the first on, or are not understood.',
        unreadable: 'a file could not be read, or was replaced meanwhile.',
        invalidated: 'a lease or an invalidation said that there was a change.',
        unnamed: 'in lease mode: a lease was open, or something had changed that no lease had named.',
        new: 'in lease mode: a ref was changed that was not listed before.',
        symref: 'in lease mode: a symbolic ref was changed.',
        changing: 'refs changed each time while Git was asked, some times in a row.',
        answer: 'what Git answered was not as expected, or HEAD does not fit.',
        age: 'entries have a maximum age: in lease mode, the last whole listing had reached it; or there are more loose refs than `--max-loose-refs`.',
        unobserved: 'a helper process has observed the repository, or there are links under refs/.',
        retry: 'an earlier run of the same fill had failed.',
        off: '`--splice off`, or switched off for the repository after a mismatch.',
      },
    },
  },
  spliceAudits: {
    type: 'counter',
    name: 'refstream_splice_audits_total',
    fromZero: true,
    help: 'Splices that were compared with what Git lists, in the background.',
    details:
      'Alert on any increase of `different`, and report it: the answer was dropped, and splicing is off for that repository.',
    labels: {
      kind: { advertisement: 'as above.', listing: 'as above.' },
      verdict: {
        equal: 'byte for byte the same.',
        different: 'not the same; see the log.',
        inconclusive: 'the state changed meanwhile, or Git could not be run.',
      },
    },
  },
  spliceOff: {
    type: 'gauge',
    name: 'refstream_splice_off_repositories',
    help: 'Repositories for which splicing is off until the next start because an audit found a difference; expected to be 0.',
  },
} as const satisfies Definitions
