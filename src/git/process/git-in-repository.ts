import { trusting } from './environment.js'
import type { Git, GitProcess, SpawnOptions } from './git.js'
import { handedOnPath } from '../filesystem/open-directory.js'
import { RemotePath } from '../filesystem/path-guard.js'
import { inRemoteDirectory } from './remote-directory.js'
import { reopenRepository, type Repository } from '../state/repository.js'

/** The first descriptor that is not a standard one. */
const firstHandedOn = 3

export interface InRepository extends Omit<
  SpawnOptions,
  'cwd' | 'where' | 'handedOn' | 'mount' | 'launcher'
> {
  /** Is it to be given up if the repository's filesystem does not answer? */
  readonly mayGiveUp?: boolean
}

/** The path of a repository's common directory for a process that `spawnIn` runs. */
export const commonDirInside = ({ gitDir, commonDir }: Repository): string =>
  commonDir === gitDir ? '.' : handedOnPath(commonDir, firstHandedOn)

/**
 * Runs `git COMMAND …` with a repository as its working directory: the very directory that was looked at, whatever its
 * path has come to mean. So the repository is `.` to Git.
 * @throws RepositoryExchanged; then the slot is released
 */
export function spawnIn(
  git: Git,
  repository: Repository,
  args: readonly [command: string, ...rest: string[]],
  options: InRepository,
): GitProcess {
  const environment = trusting(options.environment, repository.gitDir)
  let opened: ReturnType<typeof reopenRepository>
  try {
    opened = reopenRepository(repository, git.guard)
  } catch (error) {
    if (error instanceof RemotePath)
      return spawnInRemote(git, repository, args, { ...options, environment }, error.mount.point)
    options.permit?.release()
    throw error
  }
  const { git: gitDir, common } = opened
  // A linked worktree's file `commondir` is a path too: without it, there is nothing for Git to resolve.
  const linked = common !== gitDir
  try {
    return git.spawn(args, {
      ...options,
      cwd: gitDir.workingDirectory,
      where: repository.gitDir,
      handedOn: linked ? [common.descriptor] : [],
      environment: {
        ...environment,
        ...(linked ? { GIT_COMMON_DIR: commonDirInside(repository) } : {}),
      },
    })
  } finally {
    // The process has begun, or never will: its working directory is its own.
    opened.close()
  }
}

/** The same where this process must not open the directory. If it is another one, the process ends with an error. */
function spawnInRemote(
  git: Git,
  repository: Repository,
  args: readonly [command: string, ...rest: string[]],
  options: InRepository,
  mount: string,
): GitProcess {
  const linked = repository.commonDir !== repository.gitDir
  const common = linked ? { GIT_COMMON_DIR: commonDirInside(repository) } : {}
  return git.spawn(args, {
    ...options,
    launcher: inRemoteDirectory(repository),
    cwd: '/',
    mount: options.mayGiveUp ? mount : undefined,
    where: repository.gitDir,
    environment: { ...options.environment, ...common },
  })
}
