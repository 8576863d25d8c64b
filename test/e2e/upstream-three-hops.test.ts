import t, { type Test } from 'tap'
import { makeCloneScenarios, outcome, type CloneScenario } from '../support/clone-scenarios.js'
import { eventually } from '../support/eventually.js'
import { startFaultProxy } from '../support/fault-proxy.js'
import { complaint, gitClient } from '../support/git-client.js'
import { makePackRepository } from '../support/pack-repository.js'
import { startPlainServer } from '../support/plain-server.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** client → near → far → server: a refstream on each side of a long line. */
const versions = [0, 1, 2] as const
const { root, scenarios } = makeCloneScenarios(t)
makePackRepository(root, 'big.git', { bulk: 20_000_000 })
const server = await startPlainServer(t, root)
const proxy = await startFaultProxy(t, { target: server })
const far = await startSidecar(t, undefined, { args: ['--upstream', proxy.url] })
const near = await startSidecar(t, undefined, { args: ['--upstream', far.url] })

const asked = (sidecar: SpawnedSidecar, labels: Record<string, string>): Promise<number> =>
  sidecar.metric('refstream_upstream_requests_total', labels)

const listings = [['--symref'], ['--heads', '--tags'], ['refs/tags/*', 'HEAD'], ['--refs', 'v1'], ['nothing']]
for (const patterns of listings) {
  t.test(`git ls-remote ${patterns.join(' ')}`, async (t) => {
    // Options come before the URL, patterns after it.
    const isOption = (word: string): boolean => word.startsWith('--')
    const words = (base: string, name: string): string[] =>
      ['ls-remote', ...patterns.filter(isOption), `${base}/${name}`].concat(
        patterns.filter((word) => !isOption(word)),
      )
    const work = tempDir(t)
    for (const version of versions) {
      for (const name of ['project.git', 'sha256.git']) {
        const client = gitClient(version)
        const expected = await client(work, ...words(server, name))
        t.equal(await client(work, ...words(near.url, name)), expected, `v${version}, ${name}`)
      }
    }
  })
}

for (const [what, scenario] of Object.entries(scenarios)) {
  t.test(what, (t) => checkClone(t, scenario))
}

/** Checks that clients over three hops get what a direct one gets. */
async function checkClone(t: Test, scenario: CloneScenario): Promise<void> {
  await Promise.all(
    versions.map(async (version) => {
      const client = gitClient(version)
      const expected = await outcome(t, scenario, client, server)
      const result = await outcome(t, scenario, client, near.url)
      t.ok(result === expected, `v${version}: equal to what a direct client gets`)
    }),
  )
}

t.test('a big pack comes once over the long line for clients that come together', async (t) => {
  const clone: CloneScenario = (client, work, base) =>
    client(work, 'clone', '--quiet', `${base}/big.git`, 'clone')
  const expected = await outcome(t, clone, gitClient(2), server)
  const packs = await asked(far, { cause: 'pack' })
  const running = Array.from({ length: 6 }, () => outcome(t, clone, gitClient(2), near.url))
  const together = eventually('all follow', async () => (await near.metric('refstream_followers')) === 6)
  // Only questions about refs are answered compressed.
  proxy.fault({ kind: 'wait', until: together }, ({ method, headers }) => {
    return method === 'POST' && headers['accept-encoding'] === undefined
  })
  for (const result of await Promise.all(running)) t.ok(result === expected)
  t.equal((await asked(far, { cause: 'pack' })) - packs, 1, 'the server made one pack')
})

t.test('a poll of what has not changed is confirmed without a listing, over each hop that can', async (t) => {
  const work = tempDir(t)
  const poll = (version: 0 | 2): Promise<string> =>
    gitClient(version)(work, 'ls-remote', `${near.url}/project.git`)
  for (const version of [0, 2] as const) {
    await poll(version)
    const [before, beforeFar] = [await asked(near, {}), await asked(far, {})]
    const confirmed = await asked(near, { result: 'unchanged' })
    await poll(version)
    const questions = (await asked(near, {})) - before
    t.equal((await asked(near, { result: 'unchanged' })) - confirmed, questions, `v${version}`)
    t.ok(questions <= 2, `v${version}: no more questions than a client asks`)
    t.equal((await asked(far, {})) - beforeFar, questions, `v${version}: the server is asked each time`)
  }
})

t.test('a repository that is not there is not there over three hops', async (t) => {
  t.match(
    await complaint(gitClient(2)(tempDir(t), 'ls-remote', `${near.url}/none.git`)),
    /repository '.*' not found/,
  )
})

t.test('nothing is left', async (t) => {
  for (const sidecar of [near, far]) {
    t.equal(await sidecar.metric('refstream_followers'), 0)
    t.equal(await sidecar.metric('refstream_processes_running'), 0)
    t.ok((await sidecar.metric('refstream_upstream_connections')) <= 32)
    t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'error' }), 0)
  }
})
