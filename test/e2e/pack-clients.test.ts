import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCloneScenarios, outcome, type CloneScenario } from '../support/clone-scenarios.js'
import { gitClient } from '../support/git-client.js'
import { startPlainServer } from '../support/plain-server.js'
import { git, gitEnvironment } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const versions = [0, 1, 2] as const
const { root, repository, scenarios } = makeCloneScenarios(t)

const filled = (sidecar: SpawnedSidecar): Promise<number> =>
  sidecar.metric('refstream_packs_total', { result: 'filled' })

/**
 * Checks a scenario in one protocol version: the second client gets nothing from a process of its own.
 * @param rounds rounds of negotiation before the pack in v0 and v1, which are not kept
 */
async function check(t: Test, scenario: CloneScenario, version: 0 | 1 | 2, rounds = 0): Promise<void> {
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
  const scenario: CloneScenario = (client, work, base) =>
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
