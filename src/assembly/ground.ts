import { resolve } from 'node:path'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'
import { Disk } from '../freshness/disk.js'
import { DiskHelpers, type DiskHelpersOptions } from '../freshness/disk-helpers.js'
import { Disks } from '../freshness/disks.js'
import { FilesystemUnanswered } from '../git/filesystem-unanswered.js'
import { Git, type GitOptions } from '../git/git.js'
import { MountTable } from '../git/mounts.js'
import { RepositoriesRoot } from '../git/repositories-root.js'

/** What everything else stands on: the repositories, how they are asked about, and the Git that serves them. */
export interface Ground {
  readonly root: RepositoriesRoot
  readonly mounts: MountTable
  readonly disks: Disks
  /** Processes that ask about what lies on mounts that may hang. */
  readonly helpers: DiskHelpers
  readonly git: Git
}

type GroundSettings = Pick<
  Settings,
  'root' | 'git' | 'freshness' | 'maxRefDirectories' | 'maxLooseRefs' | 'access' | 'observeTimeoutSeconds'
>

/** @throws ConfigError if the root or the Git program cannot be used, or their filesystems do not answer */
export async function findGround(
  settings: GroundSettings,
  environment: NodeJS.ProcessEnv,
  options: Omit<GitOptions, 'path' | 'environment' | 'mounts'> = {},
  events: Pick<DiskHelpersOptions, 'stopped' | 'resumed' | 'unanswered'> = {},
): Promise<Ground> {
  const mounts = new MountTable()
  const guard = () => mounts.guard()
  const root = new RepositoriesRoot(resolve(settings.root), guard)
  const limits = {
    directoriesMax: settings.maxRefDirectories,
    looseRefsMax: settings.maxLooseRefs,
    linksAnywhere: settings.access === undefined,
  }
  let git: Git | undefined
  const helpers = new DiskHelpers({
    config: { ...limits, root: root.path, rules: settings.freshness },
    limitMs: settings.observeTimeoutSeconds * 1000,
    ...events,
    stopped: (where) => {
      events.stopped?.(where)
      // Clients who wait for what Git does there hear of it, and others get its slots.
      git?.giveUpOn(where)
    },
  })
  const disks = new Disks(new Disk({ ...limits, root, guard }), helpers)
  try {
    const real = await answered('--root', settings, disks.root())
    if (real === undefined) {
      const given = JSON.stringify(settings.root)
      throw new ConfigError(`--root: ${given} is not a directory; give one that holds repositories`)
    }
    root.learn(real)
    const path = await answered('--git', settings, disks.program(settings.git, environment['PATH']))
    if (path === undefined) {
      throw new ConfigError(`--git: there is no program ${settings.git}; give the path of Git's binary`)
    }
    git = new Git({ path, environment, mounts, ...options })
    return { root, mounts, disks, helpers, git }
  } catch (error) {
    helpers.close()
    throw error
  }
}

/** @throws ConfigError if nothing answers */
export async function answered<T>(
  option: string,
  { observeTimeoutSeconds }: Pick<Settings, 'observeTimeoutSeconds'>,
  asked: T | Promise<T>,
): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (!(error instanceof FilesystemUnanswered)) throw error
    const where = error.mounts.join(', ')
    throw new ConfigError(
      `${option}: the filesystem at ${where} does not answer within ${observeTimeoutSeconds} s; mend it, or give another place`,
    )
  }
}
