import type { Located } from '../../access/access.js'
import type { Settings } from '../../config/options/options.js'
import { BothOrigin } from '../../origin/both/both-origin.js'
import { diskPathRule } from '../../origin/both/disk-path-rule.js'
import { locate } from '../../origin/disk/observe-target.js'
import { eitherSubjects, type LeaseSubjects } from '../../origin/lease-subjects.js'
import type { Origin } from '../../origin/origin.js'
import { openDiskOrigin, type DiskParts } from './disk-origin.js'
import type { HostEnvironment } from '../environment/environment.js'
import type { OriginParts } from './origin-parts.js'
import type { UpstreamCredentialFile } from './upstream-credentials.js'
import type { UpstreamParts } from './upstream-origin.js'

/** Where answers come from, as the settings say: the disk, an upstream, or both. */
export interface Origins {
  readonly origin: Origin
  /** undefined: there is no root. */
  readonly disk: DiskParts | undefined
  readonly upstream: UpstreamParts | undefined
  readonly subjects: LeaseSubjects
  /** Finds the repository that a path names, for access rules; undefined: it is not on the disk. */
  readonly locate: (path: string) => Located | undefined | Promise<Located | undefined>
}

/** @throws ConfigError */
export async function openOrigins(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  host: HostEnvironment,
  credentialFile: UpstreamCredentialFile | undefined,
  parts: OriginParts,
): Promise<Origins> {
  const disk = host.root && openDiskOrigin(settings, environment, host, host.root, parts)
  let upstream: UpstreamParts | undefined
  if (settings.upstream) {
    // Loaded on demand: the HTTP client takes longer to load than all the rest of the origins.
    const { openUpstreamOrigin } = await import('./upstream-origin.js')
    const { version } = await parts.installation
    upstream = openUpstreamOrigin(settings, environment, version, credentialFile, parts)
  }
  if (disk && upstream) return openBoth(settings, disk, upstream)
  if (disk) {
    const { origin, subjects, observer } = disk
    return { origin, disk, upstream, subjects, locate: (path) => locate(observer, path) }
  }
  if (!upstream) throw new Error('there is neither a root nor an upstream')
  const { origin, upstreams } = upstream
  return { origin, disk, upstream, subjects: upstreams.subjects, locate: locatedUpstream }
}

/** What rules know of a repository that another server has: the path by which it is asked for it. */
const locatedUpstream = (path: string): Located => ({ names: [], identity: '', upstreamPath: path })

function openBoth(settings: Settings, disk: DiskParts, upstream: UpstreamParts): Origins {
  const { observer, diskLeases } = disk
  const diskPathOf = diskPathRule(settings.rootLayout)
  const origin = new BothOrigin({
    disk: disk.origin,
    upstream: upstream.origin,
    diskPathOf,
    upstreamDecides: settings.upstreamCredentials === 'pass-through',
    holdLease: async (path) => {
      const repository = await observer.find(path)
      return repository ? diskLeases.hold(repository, 'push') : () => {}
    },
  })
  const { subjects: onDisk } = disk
  const here: LeaseSubjects = {
    find: (name) => onDisk.find(name.startsWith('/') ? name : diskPathOf(name)),
    nameOf: (subject) => onDisk.nameOf(subject),
  }
  return {
    ...{ origin, disk, upstream },
    subjects: eitherSubjects(here, upstream.upstreams.subjects),
    locate: (path) => {
      const diskPath = diskPathOf(path)
      const found = locate(observer, diskPath)
      // What refstream does not answer itself goes to the upstream, which may know another repository by this path.
      const both = (located: Located | undefined): Located | undefined =>
        upstream.upstreams.has(path) ? { ...locatedUpstream(diskPath), ...located } : located
      return found instanceof Promise ? found.then(both) : both(found)
    },
  }
}
