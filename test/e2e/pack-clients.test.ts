import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gitClient, type GitClient } from '../support/git-client.js'
import { inventory, makePackRepository } from '../support/pack-repository.js'
import { startPlainServer } from '../support/plain-server.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const versions = [0, 1, 2] as const
const root = tempDir(t)
const repository = makePackRepository(root, 'project.git')
makePackRepository(root, 'sha256.git', { objectFormat: 'sha256' })
const old = git(repository, 'rev-parse', 'main~10')
makeSuperproject('super.git')

/** Makes a repository whose submodule has a relative URL: it comes from the same server. */
function makeSuperproject(name: string): void {
  const path = makeRepository(root, name)
  const work = join(tempDir(t), 'work')
  git(root, 'clone', '--quiet', path, work)
  writeFileSync(join(work, '.gitmodules'), '[submodule "sub"]\n\tpath = sub\n\turl = ../project.git\n')
  git(work, 'update-index', '--add', '--cacheinfo', `160000,${old},sub`)
  git(work, 'add', '.gitmodules')
  git(work, 'commit', '--quiet', '-m', 'submodule')
  git(work, 'push', '--quiet', 'origin', 'main')
}

/** What a client does in a new directory, with the URL of the directory that has the repositories. */
type Scenario = (client: GitClient, work: string, base: string) => Promise<unknown>

const clone =
  (...args: string[]): Scenario =>
  (client, work, base) =>
    client(work, 'clone', '--quiet', ...args, `${base}/project.git`, 'clone')

/** Each leaves a repository `clone`, which may have a submodule `sub`. */
const scenarios: Record<string, Scenario> = {
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
}

const filled = (sidecar: SpawnedSidecar): Promise<number> =>
  sidecar.metric('refstream_packs_total', { result: 'filled' })

/** Returns the inventories of what a scenario leaves. */
async function outcome(t: Test, scenario: Scenario, client: GitClient, base: string): Promise<string> {
  const work = tempDir(t)
  await scenario(client, work, base)
  const path = join(work, 'clone')
  const modules = existsSync(join(path, 'sub')) ? [join(path, 'sub')] : []
  return (await Promise.all([path, ...modules].map(inventory))).join('')
}

/**
 * Checks a scenario in one protocol version: the second client gets nothing from a process of its own.
 * @param rounds rounds of negotiation before the pack in v0 and v1, which are not kept
 */
async function check(t: Test, scenario: Scenario, version: 0 | 1 | 2, rounds = 0): Promise<void> {
  const client = gitClient(version)
  const expected = await outcome(t, scenario, client, await plain)
  const sidecar = await sidecars[version]!
  for (const run of ['first', 'second']) {
    const before = await filled(sidecar)
    const result = await outcome(t, scenario, client, sidecar.url)
    t.ok(result === expected, `v${version}, ${run}: equal to what Git’s own server gives`)
    if (run === 'second')
      t.equal((await filled(sidecar)) - before, rounds, `v${version}: the packs are shared`)
  }
}

const plain = startPlainServer(t, root)
const sidecars = versions.map(() => startSidecar(t, root))

for (const [what, scenario] of Object.entries(scenarios)) {
  t.test(what, async (t) => {
    const rounds = (version: number): number => (version < 2 && what === 'an incremental fetch' ? 1 : 0)
    await Promise.all(versions.map((version) => check(t, scenario, version, rounds(version))))
  })
}

t.test('no pack of these clients passed through, and no process is left', async (t) => {
  for (const version of versions) {
    const sidecar = await sidecars[version]!
    t.equal(await sidecar.metric('refstream_packs_total', { result: 'passed' }), 0, `v${version}`)
    t.ok((await filled(sidecar)) >= Object.keys(scenarios).length, `v${version}`)
    t.equal(await sidecar.metric('refstream_processes_running'), 0, `v${version}`)
    t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'error' }), 0, `v${version}`)
  }
})

t.test('clone of a repository with the reftable backend', { skip: withoutReftable() }, async (t) => {
  git(root, 'clone', '--quiet', '--mirror', '--ref-format=reftable', repository, 'reftable.git')
  writeFileSync(join(root, 'reftable.git/git-daemon-export-ok'), '')
  const scenario: Scenario = (client, work, base) =>
    client(work, 'clone', '--quiet', `${base}/reftable.git`, 'clone')
  await Promise.all(versions.map((version) => check(t, scenario, version)))
})

function withoutReftable(): string | false {
  try {
    const args = ['init', '--bare', '--ref-format=reftable', join(tempDir(t), 'probe.git')]
    execFileSync('git', args, { env: gitEnvironment, stdio: 'ignore' })
    return false
  } catch {
    return 'this Git has no reftable backend'
  }
}
