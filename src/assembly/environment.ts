import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Settings } from '../config/options.js'
import { ConfigError } from '../config/settings.js'
import { Disk } from '../freshness/disk/disk.js'
import { DiskHelpers, type DiskHelpersOptions } from '../freshness/disk/disk-helpers.js'
import { Disks } from '../freshness/disk/disks.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import { Git, type GitOptions } from '../git/process/git.js'
import { findProgram } from '../git/process/installation.js'
import { MountTable } from '../git/filesystem/mount-table.js'
import { RemotePath, type PathGuard } from '../git/filesystem/path-guard.js'
import { RepositoriesRoot } from '../git/state/repositories-root.js'

/** What everything else stands on: the repositories, how they are asked about, and the Git that serves them. */
export interface HostEnvironment {
  readonly root: RepositoriesRoot
  readonly mounts: MountTable
  readonly disks: Disks
  /** Processes that ask about what lies on mounts that may hang. */
  readonly helpers: DiskHelpers
  readonly git: Git
}

type HostSettings = Pick<
  Settings,
  'root' | 'git' | 'freshness' | 'maxRefDirectories' | 'maxLooseRefs' | 'access' | 'observeTimeoutSeconds'
>

/** @throws ConfigError if the root or the Git program cannot be used, or their filesystems do not answer */
export async function findHostEnvironment(
  settings: HostSettings,
  environment: NodeJS.ProcessEnv,
  options: Omit<GitOptions, 'path' | 'environment' | 'mounts'> = {},
  events: Pick<DiskHelpersOptions, 'stopped' | 'resumed' | 'unanswered'> = {},
): Promise<HostEnvironment> {
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
    if (real === undefined) throw noRoot(settings, guard())
    root.learn(real)
    const path = await answered('--git', settings, disks.program(settings.git, environment['PATH']))
    if (path === undefined) throw noGit(settings)
    git = new Git({ path, environment, mounts, ...options })
    return { root, mounts, disks, helpers, git }
  } catch (error) {
    helpers.close()
    throw error
  }
}

/** Checks the root at once. @throws ConfigError, RemotePath if it is on a mount that may hang */
export function checkRoot(settings: Pick<Settings, 'root'>): RepositoriesRoot {
  const mounts = new MountTable()
  const root = new RepositoriesRoot(resolve(settings.root), () => mounts.guard())
  if (root.real() === undefined) throw noRoot(settings, mounts.guard())
  return root
}

/** Checks the Git program at once, unless it is on a mount that may hang. @throws ConfigError */
export function checkGit(settings: Pick<Settings, 'git'>, environment: NodeJS.ProcessEnv): void {
  try {
    if (findProgram(settings.git, environment['PATH'], new MountTable().guard()) === undefined)
      throw noGit(settings)
  } catch (error) {
    if (!(error instanceof RemotePath)) throw error
  }
}

const noRoot = ({ root }: Pick<Settings, 'root'>, guard: PathGuard | undefined): ConfigError =>
  new ConfigError(`--root: ${whyNot(root, guard)}`)

function whyNot(root: string, guard: PathGuard | undefined): string {
  const given = JSON.stringify(root)
  const isNone = `${given} is not a directory; give one that holds repositories`
  try {
    guard?.check(resolve(root))
    if (!statSync(root, { throwIfNoEntry: false })?.isDirectory()) return isNone
    return `cannot use ${given}: it may not be entered`
  } catch (error) {
    return error instanceof RemotePath ? isNone : `cannot use ${given}: ${(error as Error).message}`
  }
}

const noGit = ({ git }: Pick<Settings, 'git'>): ConfigError =>
  new ConfigError(`--git: there is no program ${git}; give the path of Git's binary`)

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
