import { join } from 'node:path'
import type { Settings } from '../config/options.js'
import { Modes } from '../freshness/disk/modes.js'
import { Observer } from '../freshness/observer.js'
import { inspectInstallation, oldestGit, type Installation } from '../git/process/installation.js'
import { LeaseService } from '../service/lease-service.js'
import type { UnservedNotices } from '../service/unserved-notices.js'
import { atMostEvery, type Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { HostEnvironment } from './environment.js'
import { openLeases } from './leases.js'

export interface FreshnessOptions {
  readonly host: HostEnvironment
  /** This process's part of the cache directory; undefined: it cannot be used. */
  readonly ownDirectory: string | undefined
  /** Told of the common directory of a repository whose state may be another from now on. */
  readonly changed: (repository: string) => void
  readonly notices: UnservedNotices
  readonly settings: Settings
  readonly metrics: Metrics
  readonly log: Log
}

/** Milliseconds between two lines about a clock that was put back. */
const clockQuietMs = 600_000

/** All that tells whether an entry is fresh: looks, modes and leases. */
export function openFreshness(options: FreshnessOptions) {
  const { host, ownDirectory, changed, notices, settings, metrics, log } = options
  const { root, git, mounts, disks } = host
  const { unleasedMaxAgeSeconds } = settings
  const leases = openLeases(ownDirectory && join(ownDirectory, 'leases'), metrics, log, changed)
  const modes = new Modes({
    rules: settings.freshness,
    mounts,
    leaseOnly: ({ gitDir }, { reason, detail }) => {
      log.warn(
        { repository: gitDir, reason, detail, unleasedMaxAgeSeconds },
        'in lease mode: changes that nobody takes a lease for may stay unseen for so long; see README, Freshness',
      )
    },
  })
  const installation = inspectInstallation(git).then((found) => checkVersion(found, log))
  const observer = new Observer({
    root,
    disks,
    settings: installation.then((found) => ({ root, ...found })),
    leases,
    modes,
    directoriesMax: settings.maxRefDirectories,
    looseRefsMax: settings.maxLooseRefs,
    linksAnywhere: settings.access === undefined,
    unleasedMaxAgeMs: unleasedMaxAgeSeconds * 1000,
    observed: (result) => metrics.observations.inc({ result }),
    refused: (path, why) => notices.tell(path || '.', why === 'outside' ? 'outside-root' : why),
    clockBehind: atMostEvery(clockQuietMs, (ms: number) =>
      log.warn(
        { aheadSeconds: Math.round(ms / 1000) },
        'files have timestamps in the future: the clock was put back; answers stay fresh, by the process’s own clock',
      ),
    ),
  })
  return { leases, modes, observer, leaseService: new LeaseService({ root, leases, observer, modes }) }
}

function checkVersion(installation: Installation, log: Log): Installation {
  const { version, supported } = installation
  if (!supported) log.warn({ version }, `this Git is not supported: ${oldestGit} is the oldest that is`)
  return installation
}
