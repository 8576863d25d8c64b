import { Modes, type ModeDecision, type ModeRule } from '../freshness/modes.js'
import type { Git } from '../git/git.js'
import { inspectInstallation, type Installation } from '../git/installation.js'
import { createLookMemory, Look } from '../git/look.js'
import { lookAtRefs, lookAtRepository } from '../git/ref-state.js'
import { findRepositories, type FoundRepository } from '../git/repositories.js'
import type { RepositoriesRoot } from '../git/repositories-root.js'
import { enterRepo, type Refusal } from '../git/repository.js'

/** What a sidecar with these settings would make of a repository. */
export interface Inspected {
  /** Relative to the root. */
  readonly path: string
  /** Why what is there is not served. */
  readonly refused?: Refusal
  /** undefined: there is no repository that can be served. */
  readonly found?: {
    readonly gitDir: string
    readonly exported: boolean
    readonly decision: ModeDecision
  }
}

export interface InspectionOptions {
  readonly root: RepositoriesRoot
  readonly git: Git
  readonly rules: readonly ModeRule[]
  readonly directoriesMax: number
}

/** The Git in use, and each of the repositories at these paths, or all below the root if there are no paths. */
export async function inspect(
  { root, git, rules, directoriesMax }: InspectionOptions,
  paths: readonly string[],
): Promise<{ installation: Installation; repositories: AsyncIterable<Inspected> }> {
  const installation = await inspectInstallation(git)
  const memory = createLookMemory()
  const modes = new Modes({ rules })
  async function* repositories(): AsyncGenerator<Inspected> {
    const named = paths.map((path): FoundRepository => ({ path, refused: undefined }))
    for (const { path, refused } of paths.length > 0 ? named : findRepositories(root, memory)) {
      yield refused ? { path, refused } : await inspectOne(path)
    }
  }
  async function inspectOne(path: string): Promise<Inspected> {
    const look = new Look(memory)
    let refused: Refusal | undefined
    const opened = enterRepo(look, root, path, (why) => (refused = why))
    if (!opened) return { path, ...(refused ? { refused } : {}) }
    try {
      const state = lookAtRepository(look, { root, ...installation }, opened)
      const { repository, exported } = state
      let decision = modes.of(repository)
      if (decision.mode === 'observe') {
        const directories = decision.reason === 'configured' ? Infinity : directoriesMax
        const seen = await lookAtRefs(look, opened, state, {
          directories,
          looseRefs: 0,
          linksBelow: root.real(),
        })
        if (seen === 'outside') return { path, refused: seen }
        if (seen === 'directories') decision = modes.tooManyDirectories(repository)
      }
      return { path, found: { gitDir: repository.gitDir, exported, decision } }
    } finally {
      opened.close()
    }
  }
  return { installation, repositories: repositories() }
}
