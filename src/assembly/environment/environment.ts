import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { hasAccessRules } from '../../config/cross-checks/given.js'
import type { Settings } from '../../config/options/options.js'
import { ConfigError } from '../../config/values/config-error.js'
import { checkAll } from '../../config/settings.js'
import { Disk } from '../../origin/disk/observation/disk.js'
import { DiskHelpers, type DiskHelpersOptions } from '../../origin/disk/observation/disk-helpers.js'
import { Disks } from '../../origin/disk/observation/disks.js'
import { FilesystemUnanswered } from '../../git/filesystem/filesystem-unanswered.js'
import { MountTable } from '../../git/filesystem/mount-table.js'
import { RemotePath, type PathGuard } from '../../git/filesystem/path-guard.js'
import { RepositoriesRoot } from '../../git/state/repositories-root.js'
import { findStorages, type Storages } from './storages.js'

/** What refstream finds on this machine: the repositories root, how its filesystems are read, and the Git program. */
export interface HostEnvironment {
  /** undefined: all repositories are elsewhere. */
  readonly root: RepositoriesRoot | undefined
  readonly storages: Storages
  readonly mounts: MountTable
  readonly disks: Disks
  /** Processes that read mounts that may hang; the caller closes them. */
  readonly helpers: DiskHelpers
  /** The Git program's absolute path. */
  readonly program: string
}

type HostSettings = Pick<
  Settings,
  | 'root'
  | 'gitalyStorages'
  | 'git'
  | 'freshness'
  | 'maxRefDirectories'
  | 'maxLooseRefs'
  | 'access'
  | 'accessFile'
  | 'observeTimeoutSeconds'
>

/** Events of filesystems on mounts that may hang. */
export type FilesystemEvents = Pick<DiskHelpersOptions, 'stopped' | 'resumed' | 'unanswered'>

/**
 * Finds the root and the Git program; waits for their filesystems no longer than `observeTimeoutSeconds`.
 * @throws ConfigError with all mistakes if they cannot be used, or their filesystems do not answer
 */
export async function findHostEnvironment(
  settings: HostSettings,
  environment: NodeJS.ProcessEnv,
  events: FilesystemEvents = {},
): Promise<HostEnvironment> {
  const mounts = new MountTable()
  const guard = (): PathGuard | undefined => mounts.guard()
  // Without a root, only the Git program is looked for.
  const root = new RepositoriesRoot(resolve(settings.root ?? '/'), guard)
  const limits = {
    directoriesMax: settings.maxRefDirectories,
    looseRefsMax: settings.maxLooseRefs,
    linksAnywhere: !hasAccessRules(settings),
  }
  const limitMs = settings.observeTimeoutSeconds * 1000
  const config = { ...limits, root: root.path, rules: settings.freshness }
  const helpers = new DiskHelpers({ config, limitMs, ...events })
  const disks = new Disks(new Disk({ ...limits, root, guard }), helpers)
  try {
    const [storages, program] = await checkAll([
      async () => {
        if (settings.root === undefined) return new Map<string, string>()
        await findRoot(root, disks, settings.root, settings, guard())
        return inTime('--gitaly-storages', settings, () =>
          findStorages(root.path, settings.gitalyStorages, (path) => disks.relative(path)),
        )
      },
      () => findProgram(disks, settings, environment),
    ])
    return { root: settings.root === undefined ? undefined : root, storages, mounts, disks, helpers, program }
  } catch (error) {
    helpers.close()
    throw error
  }
}

/** @throws ConfigError */
async function findRoot(
  root: RepositoriesRoot,
  disks: Disks,
  given: string,
  settings: Pick<HostSettings, 'observeTimeoutSeconds'>,
  guard: PathGuard | undefined,
): Promise<void> {
  const real = await inTime('--root', settings, () => disks.root())
  if (real === undefined) throw new ConfigError(`--root: ${whyUnusable(given, guard)}`)
  root.learn(real)
}

function whyUnusable(root: string, guard: PathGuard | undefined): string {
  const given = JSON.stringify(root)
  const noDirectory = `${given} is not a directory; give one that holds repositories`
  try {
    guard?.check(resolve(root))
    if (!statSync(root, { throwIfNoEntry: false })?.isDirectory()) return noDirectory
    return `cannot use ${given}: permission to enter it is missing`
  } catch (error) {
    return error instanceof RemotePath ? noDirectory : `cannot use ${given}: ${(error as Error).message}`
  }
}

/** @throws ConfigError */
async function findProgram(
  disks: Disks,
  settings: HostSettings,
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const { git } = settings
  const path = await inTime('--git', settings, () => disks.program(git, environment['PATH']))
  if (path !== undefined) return path
  throw new ConfigError(`--git: there is no program ${git}; give the path of Git's binary`)
}

/** Translates the error of a filesystem that does not answer. @throws ConfigError */
async function inTime<T>(
  option: string,
  { observeTimeoutSeconds }: Pick<Settings, 'observeTimeoutSeconds'>,
  find: () => T | Promise<T>,
): Promise<T> {
  try {
    return await find()
  } catch (error) {
    if (!(error instanceof FilesystemUnanswered)) throw error
    const where = error.mounts.join(', ')
    throw new ConfigError(
      `${option}: the filesystem at ${where} does not answer within ${observeTimeoutSeconds} s; repair it, or give another path`,
    )
  }
}
