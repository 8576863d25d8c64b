import { Disk, type GitFacts } from '../origin/disk/observation/disk.js'
import { Disks } from '../origin/disk/observation/disks.js'
import { Modes, type ModeDecision, type ModeRule } from '../origin/disk/observation/modes.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import type { Git } from '../git/process/git.js'
import { inspectInstallation, type Installation } from '../git/process/installation.js'
import type { MountTable } from '../git/filesystem/mount-table.js'
import type { RepositoriesRoot } from '../git/state/repositories-root.js'
import type { RepositoryRefusal, Repository } from '../git/state/repository.js'

/** What a sidecar with these settings would make of the repository at a path. */
export interface Inspected {
  /** Relative to the root. */
  readonly path: string
  /** Why a repository that is there is not served. */
  readonly refused?: RepositoryRefusal
  /** Mount points of filesystems that did not answer. */
  readonly unanswered?: readonly string[]
  /** Left out: there is no repository that can be served. */
  readonly found?: {
    readonly repository: Repository
    readonly gitDir: string
    readonly exported: boolean
    readonly decision: ModeDecision
    /** Can only Git find all of its configuration files? Then its state is never settled, and nothing is reused. */
    readonly hidesConfig: boolean
  }
}

export interface InspectionOptions {
  readonly root: RepositoriesRoot
  readonly git: Git
  readonly rules: readonly ModeRule[]
  readonly directoriesMax: number
  /** How the disk is observed; left out: on the event loop, whatever filesystem it is. */
  readonly disks?: Disks
  readonly mounts?: MountTable
}

/** Inspects the Git in use and the repositories at these paths, or all below the root if there are no paths. */
export async function inspect(
  options: InspectionOptions,
  paths: readonly string[],
): Promise<{ installation: Installation; repositories: AsyncIterable<Inspected> }> {
  const { root, git, rules, directoriesMax, mounts } = options
  const { disks = new Disks(new Disk({ root, directoriesMax, looseRefsMax: 0, linksAnywhere: true })) } =
    options
  const installation = await inspectInstallation(git)
  const { scopes, programs, environmentDigest } = installation
  const facts: GitFacts = { scopes, programs, environmentDigest }
  const modes = new Modes({ rules, mounts })

  async function inspectOne(path: string): Promise<Inspected> {
    const { observed, refused } = await disks.observe(path, facts, modes)
    if (!observed) return { path, ...(refused ? { refused } : {}) }
    const { state, decision } = observed
    const { repository, exported, config } = state
    return {
      path,
      found: { repository, gitDir: repository.gitDir, exported, decision, hidesConfig: config.hidden },
    }
  }
  async function* search(path: string, isLink: boolean): AsyncGenerator<Inspected> {
    try {
      const { found, below } = await disks.visit(path, isLink)
      if (found) yield found.refused ? { path, refused: found.refused } : await inspectOne(path)
      for (const each of below) yield* search(each.path, each.isLink)
    } catch (error) {
      yield unanswered(path, error)
    }
  }
  async function* inspectNamed(): AsyncGenerator<Inspected> {
    for (const path of paths) yield await inspectOne(path).catch((error: unknown) => unanswered(path, error))
  }
  return { installation, repositories: paths.length > 0 ? inspectNamed() : search('', false) }
}

/** Reports a filesystem that did not answer. @throws any other error */
function unanswered(path: string, error: unknown): Inspected {
  if (error instanceof FilesystemUnanswered) return { path, unanswered: error.mounts }
  throw error
}
