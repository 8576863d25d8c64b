import { join } from 'node:path'
import type { Settings } from '../config/options.js'
import { Modes } from '../origin/disk/observation/modes.js'
import type { Leases } from '../freshness/leases.js'
import { Observer } from '../origin/disk/observation/observer.js'
import type { Git } from '../git/process/git.js'
import { inspectInstallation, oldestGit, type Installation } from '../git/process/installation.js'
import { LeaseService } from '../service/lease-service.js'
import type { UnservedNotices } from '../origin/disk/unserved-notices.js'
import { atMostEvery, type Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { HostEnvironment } from './environment.js'
import { openLeases } from './leases.js'

/** Everything that decides whether an entry is fresh. */
export interface Freshness {
  readonly leases: Leases
  readonly modes: Modes
  readonly observer: Observer
  readonly leaseService: LeaseService
}

export interface FreshnessOptions {
  readonly host: Pick<HostEnvironment, 'root' | 'mounts' | 'disks'>
  readonly git: Git
  /** This process's part of the cache directory; undefined: the directory cannot be used. */
  readonly ownDirectory: string | undefined
  /** Called with the common directory of a repository whose state may have changed. */
  readonly changed: (commonDir: string) => void
  readonly notices: UnservedNotices
  readonly settings: Settings
  readonly metrics: Metrics
  readonly log: Log
}

/** Least time in milliseconds between two log lines about a clock that was set back. */
const clockQuietMs = 600_000

export function openFreshness(options: FreshnessOptions): Freshness {
  const { host, git, ownDirectory, changed, notices, settings, metrics, log } = options
  const { root, mounts, disks } = host
  const { unleasedMaxAgeSeconds } = settings
  const leases = openLeases(ownDirectory && join(ownDirectory, 'leases'), metrics, log, changed)
  const modes = new Modes({
    rules: settings.freshness,
    mounts,
    leaseOnly: ({ gitDir }, { reason, detail }) => {
      log.warn(
        { repository: gitDir, reason, detail, unleasedMaxAgeSeconds },
        'a repository is in lease mode: changes without a lease stay unseen for up to unleased-max-age-seconds; open leases, for example ' +
          'with `refstream hook install`',
      )
    },
  })
  const installation = inspectInstallation(git).then((found) => warnIfUnsupported(found, log))
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
        'files have timestamps in the future: the system clock was set back; answers stay fresh by the monotonic clock',
      ),
    ),
  })
  return { leases, modes, observer, leaseService: new LeaseService({ root, leases, observer }) }
}

function warnIfUnsupported(installation: Installation, log: Log): Installation {
  const { version, supported } = installation
  if (!supported) {
    log.warn({ version }, `this version of Git is not supported; install ${oldestGit} or newer`)
  }
  return installation
}
