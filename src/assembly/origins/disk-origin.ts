import { hasAccessRules } from '../../config/cross-checks/given.js'
import type { Settings } from '../../config/options/options.js'
import { isForAll } from '../../config/cross-checks/upstream.js'
import type { RepositoriesRoot } from '../../git/state/repositories-root.js'
import { DiskLeases } from '../../origin/disk/disk-leases.js'
import { DiskOrigin } from '../../origin/disk/disk-origin.js'
import { DiskPacks } from '../../origin/disk/disk-packs.js'
import { DiskPeers } from '../../origin/disk/disk-peers.js'
import { DiskRefs } from '../../origin/disk/disk-refs.js'
import { DiskSubjects } from '../../origin/disk/disk-subjects.js'
import { GitBackend } from '../../origin/disk/backend/git-backend.js'
import { Modes } from '../../origin/disk/observation/modes.js'
import { Observer, type ObserverOptions } from '../../origin/disk/observation/observer.js'
import { TracedObserver } from '../../origin/disk/observation/traced-observer.js'
import { PackNames } from '../../origin/disk/pack-names.js'
import { ServedRepositories } from '../../origin/disk/served-repositories.js'
import { ServingConfigs } from '../../origin/disk/serving-configs.js'
import { Splices } from '../../origin/disk/splices/splices.js'
import { UnservedNotices } from '../../origin/disk/unserved-notices.js'
import { PackService } from '../../origin/packs/pack-service.js'
import { atMostEvery, type Log } from '../../telemetry/log.js'
import type { HostEnvironment } from '../environment/environment.js'
import type { OriginParts } from './origin-parts.js'

/** The repositories below the root, and what else is known of them. */
export interface DiskParts {
  readonly origin: DiskOrigin
  readonly modes: Modes
  readonly observer: Observer
  readonly diskLeases: DiskLeases
  readonly subjects: DiskSubjects
  /** To be closed at the end. */
  readonly splices: Splices
  /** Answers other nodes of a fleet. */
  readonly peers: DiskPeers
}

/** Least time in milliseconds between two log lines about a clock that was set back. */
const clockQuietMs = 600_000

export function openDiskOrigin(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  host: Pick<HostEnvironment, 'mounts' | 'disks'>,
  root: RepositoriesRoot,
  parts: OriginParts,
): DiskParts {
  const { git, leases, freshCache, packCache, listings, fillReports, packReports, limits, metrics, log } =
    parts
  const { fleet: { refRuns, packRuns } = {}, tracing } = parts
  const { limiter, backOff, processStalls } = limits
  const notices = new UnservedNotices({ log })
  const modes = openModes(settings, host, log)
  const observer = openObserver(settings, host, root, modes, notices, parts)
  // A server that has all the repositories knows nothing of git-daemon-export-ok. It must have all: what no upstream has is
  // served without it.
  const isBeside = settings.upstream?.some(isForAll) ?? false
  const exportAll = settings.exportAll ?? (isBeside || environment['GIT_HTTP_EXPORT_ALL'] !== undefined)
  const servingConfigs = new ServingConfigs({ git, installation: parts.installation, backOff })
  const served = new ServedRepositories({ exportAll, observer, servingConfigs, notices })
  const splices = new Splices({
    // Names in Git's answers are not those on disk then.
    enabled: settings.splice === 'on' && !git.environment['GIT_NAMESPACE'],
    ...{ git, cache: freshCache, listings, metrics, log },
    guard: () => host.mounts.guard(),
    mayHoldOn: (mount) => mount === host.mounts.at(root.latest ?? root.path)?.id,
    observe: async (target) => (await served.observe(target)).refs,
  })
  const refs = new DiskRefs({
    ...{ git, observer, served, cache: freshCache, listings, fillReports, splices, limiter, backOff },
    ...{ fleet: refRuns, tracing },
  })
  const packs = new PackService({
    enabled: settings.packs,
    source: new DiskPacks({ git, served, names: new PackNames({ served, refs }) }),
    ...{ cache: packCache, fillReports, reports: packReports, backOff },
    ...{ fleet: packRuns, tracing },
  })
  const diskLeases = new DiskLeases({ leases, modes })
  const backend = new GitBackend({ exportAll, git, observer, leases: diskLeases, processStalls, metrics })
  return {
    origin: new DiskOrigin({ refs, packs, backend }),
    peers: new DiskPeers({ refs, packs, cache: freshCache }),
    ...{ splices, modes, observer, diskLeases, subjects: new DiskSubjects({ root, observer }) },
  }
}

function openModes(settings: Settings, { mounts }: Pick<HostEnvironment, 'mounts'>, log: Log): Modes {
  const { unleasedMaxAgeSeconds } = settings
  return new Modes({
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
}

function openObserver(
  settings: Settings,
  { disks }: Pick<HostEnvironment, 'disks'>,
  root: RepositoriesRoot,
  modes: Modes,
  notices: UnservedNotices,
  { installation, leases, metrics, tracing, log }: OriginParts,
): Observer {
  const options: ObserverOptions = {
    ...{ root, disks, leases, modes },
    settings: installation.then((found) => ({ root, ...found })),
    directoriesMax: settings.maxRefDirectories,
    looseRefsMax: settings.maxLooseRefs,
    linksAnywhere: !hasAccessRules(settings),
    unleasedMaxAgeMs: settings.unleasedMaxAgeSeconds * 1000,
    observed: (result) => metrics.observations.inc({ result }),
    refused: (path, why) => notices.tell(path || '.', why === 'outside' ? 'outside-root' : why),
    clockBehind: atMostEvery(clockQuietMs, (ms: number) =>
      log.warn(
        { aheadSeconds: Math.round(ms / 1000) },
        'files have timestamps in the future: the system clock was set back; answers stay fresh by the monotonic clock',
      ),
    ),
  }
  return tracing ? new TracedObserver(options, tracing) : new Observer(options)
}
