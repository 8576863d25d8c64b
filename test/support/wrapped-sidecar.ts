import type { Test } from 'tap'
import { makeGitWrapper, type GitWrapper } from './git-wrapper.js'
import { infoRefs } from './http-client.js'
import { addPackedBranches, makeRepository } from './repositories.js'
import { startSidecar, type SpawnedSidecar } from './sidecar.js'
import { tempDir } from './temp-dir.js'

/** A sidecar whose Git is wrapped, with a repository of 2,000 branches. */
export interface WrappedSidecar {
  readonly wrapper: GitWrapper
  readonly sidecar: SpawnedSidecar
  /** The URL of the repository's advertisement. */
  readonly url: string
}

export async function startWrapped(t: Test, ...args: string[]): Promise<WrappedSidecar> {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 2000)
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path, ...args] })
  return { wrapper, sidecar, url: infoRefs(sidecar.url, 'r.git') }
}
