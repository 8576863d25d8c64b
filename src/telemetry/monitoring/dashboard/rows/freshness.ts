import { freshnessMetrics } from '../../../metrics/freshness.js'
import type { Row } from '../panel.js'
import { rates, values } from '../queries.js'

export const freshnessRow: Row = {
  title: 'Freshness, leases and splices',
  panels: [
    {
      title: 'Observations',
      description:
        'Looks at the state of a repository on disk, by result. Many `unsettled` ones: refs change all the time. `timeout`: a filesystem does not answer.',
      unit: 'ops',
      queries: [rates(freshnessMetrics.observations, ['result'])],
    },
    {
      title: 'Repositories',
      description: 'Repositories requested recently, by freshness mode and the reason for it.',
      unit: 'short',
      queries: [values(freshnessMetrics.repositories, ['mode', 'reason'])],
    },
    {
      title: 'Observer processes',
      description:
        'Processes that observe repositories on filesystems that may hang. `stuck`: the kernel holds one.',
      unit: 'short',
      queries: [values(freshnessMetrics.observerProcesses, ['state'])],
    },
    {
      title: 'Open leases',
      description:
        'Mutator leases that are open; while one is, nothing of its repository is reused in lease mode.',
      unit: 'short',
      queries: [values(freshnessMetrics.leasesOpen, ['instance'])],
    },
    {
      title: 'Leases and invalidations',
      description: 'Leases that were opened and ended, and invalidations. `expired`: a holder has crashed.',
      unit: 'ops',
      queries: [
        rates(freshnessMetrics.leasesOpened, [], { name: 'opened' }),
        rates(freshnessMetrics.leasesEnded, ['end']),
        rates(freshnessMetrics.invalidations, ['source'], { name: 'invalidation:' }),
      ],
    },
    {
      title: 'Splices',
      description: 'Fills of refs that cost only what had changed (`spliced`), or why they listed all refs.',
      unit: 'ops',
      queries: [rates(freshnessMetrics.splices, ['kind', 'result'])],
    },
    {
      title: 'Audits of splices',
      description:
        'Splices compared with what Git lists, and repositories for which splicing is off because of a difference. `different` is expected to be 0: report it.',
      unit: 'short',
      queries: [
        rates(freshnessMetrics.spliceAudits, ['kind', 'verdict']),
        values(freshnessMetrics.spliceOff, [], { name: 'repositories switched off' }),
      ],
    },
  ],
}
