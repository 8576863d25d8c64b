import { descriptorPath } from '../filesystem/open-directory.js'
import { RemotePath } from '../filesystem/path-guard.js'
import { reopenRepository } from '../state/reopen-repository.js'
import type { Repository } from '../state/repository.js'
import { trusting } from './environment.js'
import type { GitProcess } from './git-process.js'
import type { Git, SpawnOptions } from './git.js'
import { launcherInRepository } from './launcher.js'

/** The first descriptor that is not a standard one. */
const firstExtraDescriptor = 3

export interface SpawnInOptions extends Omit<
  SpawnOptions,
  'cwd' | 'where' | 'extraDescriptors' | 'mount' | 'launcher'
> {
  /** Is the process to be given up if the repository's filesystem does not answer? */
  readonly mayGiveUp?: boolean
}

/** Returns the path of a repository's common directory for a process that `spawnIn` runs. */
export const commonDirInside = ({ gitDir, commonDir }: Repository): string =>
  commonDir === gitDir ? '.' : descriptorPath(commonDir, firstExtraDescriptor)

/**
 * Runs `git COMMAND …` with a repository as its working directory: the directory that was observed, even if its path was
 * renamed, relinked or mounted over. So the repository is `.` to Git.
 * @throws RepositoryExchanged; then the permit is released
 */
export function spawnIn(
  git: Git,
  repository: Repository,
  args: readonly [command: string, ...rest: string[]],
  options: SpawnInOptions,
): GitProcess {
  // A linked worktree's file `commondir` is a path too: with this variable, Git does not resolve it.
  const isLinked = repository.commonDir !== repository.gitDir
  const environment = {
    ...trusting(options.environment, repository.gitDir),
    ...(isLinked ? { GIT_COMMON_DIR: commonDirInside(repository) } : {}),
  }
  let opened: ReturnType<typeof reopenRepository>
  try {
    opened = reopenRepository(repository, git.guard)
  } catch (error) {
    if (error instanceof RemotePath) {
      return spawnInRemote(git, repository, args, { ...options, environment }, error.mount.point)
    }
    options.permit?.release()
    throw error
  }
  const { git: gitDir, common } = opened
  try {
    return git.spawn(args, {
      ...options,
      cwd: gitDir.workingDirectory,
      where: repository.gitDir,
      extraDescriptors: isLinked ? [common.descriptor] : [],
      environment,
    })
  } finally {
    // The process has started, or never will: its working directory does not depend on this descriptor.
    opened.close()
  }
}

/**
 * The same where this process must not open the directory itself. If it is not the one that was observed, the process
 * ends with an error.
 */
function spawnInRemote(
  git: Git,
  repository: Repository,
  args: readonly [command: string, ...rest: string[]],
  options: SpawnInOptions,
  mount: string,
): GitProcess {
  return git.spawn(args, {
    ...options,
    launcher: launcherInRepository(repository),
    cwd: '/',
    mount: options.mayGiveUp ? mount : undefined,
    where: repository.gitDir,
  })
}
