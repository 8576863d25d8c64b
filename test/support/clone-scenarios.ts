import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { GitClient } from './git-client.js'
import { inventory, makePackRepository } from './pack-repository.js'
import { git, makeRepository } from './repositories.js'
import { tempDir } from './temp-dir.js'

/** What a client does in a new directory, with the URL of the directory that has the repositories. */
export type CloneScenario = (client: GitClient, work: string, base: string) => Promise<unknown>

/** Repositories, and what clients do with them. */
export interface CloneScenarios {
  readonly root: string
  /** The path of `project.git`. */
  readonly repository: string
  /** Each leaves a repository `clone`, which may have a submodule `sub`. */
  readonly scenarios: Readonly<Record<string, CloneScenario>>
}

/** Makes the repositories `project.git`, `sha256.git` and `super.git`. */
export function makeCloneScenarios(t: Test): CloneScenarios {
  const root = tempDir(t)
  const repository = makePackRepository(root, 'project.git')
  makePackRepository(root, 'sha256.git', { objectFormat: 'sha256' })
  const old = git(repository, 'rev-parse', 'main~10')
  makeSuperproject(t, root, old)
  return { root, repository, scenarios: scenariosOf(repository, old) }
}

/** Makes a repository whose submodule has a relative URL: it comes from the same server. */
function makeSuperproject(t: Test, root: string, commit: string): void {
  const path = makeRepository(root, 'super.git')
  const work = join(tempDir(t), 'work')
  git(root, 'clone', '--quiet', path, work)
  writeFileSync(join(work, '.gitmodules'), '[submodule "sub"]\n\tpath = sub\n\turl = ../project.git\n')
  git(work, 'update-index', '--add', '--cacheinfo', `160000,${commit},sub`)
  git(work, 'add', '.gitmodules')
  git(work, 'commit', '--quiet', '-m', 'submodule')
  git(work, 'push', '--quiet', 'origin', 'main')
}

const clone =
  (...args: string[]): CloneScenario =>
  (client, work, base) =>
    client(work, 'clone', '--quiet', ...args, `${base}/project.git`, 'clone')

const scenariosOf = (repository: string, old: string): Record<string, CloneScenario> => ({
  clone: clone(),
  'clone --depth=1': clone('--depth=1'),
  'clone --depth=3 of all branches': clone('--depth=3', '--no-single-branch'),
  'clone --mirror': clone('--mirror'),
  'clone --single-branch': clone('--single-branch', '--branch=topic'),
  'clone --shallow-since': clone('--shallow-since=2020-02-10T00:00:00Z'),
  'clone --shallow-exclude': clone('--shallow-exclude=v1', '--single-branch'),
  'a clone without blobs, which are fetched by two checkouts': async (client, work, base) => {
    await clone('--filter=blob:none')(client, work, base)
    await client(join(work, 'clone'), 'checkout', '--quiet', 'topic')
  },
  'a fetch by commit id': async (client, work, base) => {
    const path = join(work, 'clone')
    await client(work, 'init', '--quiet', path)
    await client(path, 'fetch', '--quiet', '--depth=1', `${base}/project.git`, `${old}:refs/heads/old`)
    await client(path, 'checkout', '--quiet', old)
  },
  'fetch --deepen': async (client, work, base) => {
    await clone('--depth=1')(client, work, base)
    await client(join(work, 'clone'), 'fetch', '--quiet', '--deepen=4')
  },
  'fetch --unshallow': async (client, work, base) => {
    await clone('--depth=2')(client, work, base)
    await client(join(work, 'clone'), 'fetch', '--quiet', '--unshallow')
  },
  'an incremental fetch': async (client, work, base) => {
    const path = join(work, 'clone')
    await client(work, 'init', '--quiet', path)
    await client(path, 'fetch', '--quiet', '--no-tags', `file://${repository}`, `${old}:refs/heads/old`)
    await client(path, 'remote', 'add', 'origin', `${base}/project.git`)
    await client(path, 'fetch', '--quiet', 'origin')
  },
  'clone --recurse-submodules': (client, work, base) =>
    client(work, 'clone', '--quiet', '--recurse-submodules', `${base}/super.git`, 'clone'),
  'clone of a sha256 repository': (client, work, base) =>
    client(work, 'clone', '--quiet', `${base}/sha256.git`, 'clone'),
})

/** Returns the inventories of what a scenario leaves. */
export async function outcome(
  t: Test,
  scenario: CloneScenario,
  client: GitClient,
  base: string,
): Promise<string> {
  const work = tempDir(t)
  await scenario(client, work, base)
  const path = join(work, 'clone')
  const modules = existsSync(join(path, 'sub')) ? [join(path, 'sub')] : []
  return (await Promise.all([path, ...modules].map(inventory))).join('')
}
