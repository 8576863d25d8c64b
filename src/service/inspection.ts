import { Modes, type ModeDecision, type ModeRule } from '../freshness/modes.js'
import type { Git } from '../git/git.js'
import { inspectInstallation, type Installation } from '../git/installation.js'
import { createLookMemory, Look } from '../git/look.js'
import { lookAtRefs, lookAtRepository } from '../git/ref-state.js'
import { findRepositories } from '../git/repositories.js'

/** What a sidecar with these settings would make of a repository. */
export interface Inspected {
  /** Relative to the root. */
  readonly path: string
  /** undefined: there is no repository. */
  readonly found?: {
    readonly gitDir: string
    readonly exported: boolean
    readonly decision: ModeDecision
  }
}

export interface InspectionOptions {
  readonly root: string
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
  const modes = new Modes({ root, rules })
  async function* repositories(): AsyncGenerator<Inspected> {
    for (const path of paths.length > 0 ? paths : findRepositories(root, memory)) {
      const look = new Look(memory)
      const state = lookAtRepository(look, { root, ...installation }, path)
      if (!state) {
        yield { path }
        continue
      }
      let decision = modes.of(state.repository)
      if (decision.mode === 'observe' && decision.reason !== 'configured') {
        const seen = await lookAtRefs(look, state, directoriesMax)
        if (!seen) decision = modes.tooManyDirectories(state.repository)
      }
      yield { path, found: { gitDir: state.repository.gitDir, exported: state.exported, decision } }
    }
  }
  return { installation, repositories: repositories() }
}
