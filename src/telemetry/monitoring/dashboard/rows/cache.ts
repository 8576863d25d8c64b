import { packMetrics } from '../../../metrics/packs.js'
import { storeMetrics } from '../../../metrics/store.js'
import { selectShown } from '../../expression.js'
import type { Row } from '../panel.js'
import { rates, values } from '../queries.js'

export const cacheRow: Row = {
  title: 'Cache and packs',
  panels: [
    {
      title: 'Cache on disk',
      description: 'Bytes of entries, with their limit. At the limit, the least recently used are evicted.',
      unit: 'bytes',
      queries: [
        values(storeMetrics.storeBytes, ['instance']),
        values(storeMetrics.storeLimitBytes, ['instance'], { name: 'limit of' }),
      ],
    },
    {
      title: 'Memory for entries',
      description: 'Entries in memory, listings that answer ls-refs, and packs.',
      unit: 'bytes',
      queries: [
        values(storeMetrics.hotBytes, [], { name: 'entries' }),
        values(storeMetrics.listingBytes, [], { name: 'listings' }),
        values(packMetrics.packHotBytes, [], { name: 'packs' }),
      ],
    },
    {
      title: 'Number of entries',
      description: 'Committed entries on disk, and packs that are kept.',
      unit: 'short',
      queries: [
        values(storeMetrics.storeEntries, [], { name: 'entries' }),
        values(packMetrics.packStoreEntries, [], { name: 'packs' }),
      ],
    },
    {
      title: 'Evictions and discarded files',
      description:
        '`superseded` is normal: refs have changed. `size` and `entries`: the cache is too small. `truncated` and `corrupt`: a crash, or the disk.',
      unit: 'ops',
      queries: [
        rates(storeMetrics.evictions, ['reason']),
        rates(storeMetrics.discarded, ['reason'], { name: 'discarded:' }),
      ],
    },
    {
      title: 'Failures of the cache directory',
      description:
        'Operations that failed, and whether nothing is stored for lack of space (1). Requests are served all the same.',
      unit: 'short',
      queries: [
        rates(storeMetrics.storeErrors, ['operation']),
        {
          expr: `max by (job, instance) (${selectShown(storeMetrics.storeFull).text})`,
          legend: 'full: {{instance}}',
        },
      ],
    },
    {
      title: 'Bytes written for splices',
      description:
        'What splices changed was appended, and whole entries were written when changes had added up.',
      unit: 'Bps',
      queries: [
        rates(storeMetrics.storeRevisedBytes, [], { name: 'changes' }),
        rates(storeMetrics.storeRebasedBytes, [], { name: 'whole entries' }),
      ],
    },
    {
      title: 'Fetches',
      description:
        'How fetches were answered. Each `filled` one is a Git process; `coalesced` and `hit` shared one.',
      unit: 'reqps',
      queries: [rates(packMetrics.packs, ['result'])],
    },
    {
      title: 'Fetches that are not shared',
      description: 'Those that passed through to `git http-backend`, by reason.',
      unit: 'reqps',
      queries: [rates(packMetrics.packsPassed, ['reason'])],
    },
    {
      title: 'Packs on disk and in memory',
      description: 'Bytes of the packs that are kept, with their limit.',
      unit: 'bytes',
      queries: [
        values(packMetrics.packStoreBytes, ['instance']),
        values(packMetrics.packStoreLimitBytes, ['instance'], { name: 'limit of' }),
      ],
    },
    {
      title: 'Processors that packs take and spare',
      description:
        'Processor seconds per second of Git processes that made packs, and an estimate of what sharing spared.',
      unit: 'short',
      queries: [
        rates(packMetrics.packCpuSeconds, [], { name: 'taken' }),
        rates(packMetrics.packCpuSparedSeconds, [], { name: 'spared' }),
      ],
    },
  ],
}
