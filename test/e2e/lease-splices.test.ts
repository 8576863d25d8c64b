// Lease mode with the hook: what a transaction has named is spliced, and everything else is seen after the maximum age.
import t, { type Test } from 'tap'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { askAdmin } from '../../src/cli/admin/client.js'
import { makeGitWrapper, plans, type GitWrapper } from '../support/git-wrapper.js'
import { eventually } from '../support/eventually.js'
import { gitIn, installPatientHook } from '../support/hooked.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const run = promisify(execFile)

class World {
  readonly repository: string
  readonly sidecar: SpawnedSidecar
  readonly wrapper: GitWrapper
  /** Commits of which there are no refs. */
  readonly commits: readonly string[]

  constructor(repository: string, sidecar: SpawnedSidecar, wrapper: GitWrapper) {
    this.repository = repository
    this.sidecar = sidecar
    this.wrapper = wrapper
    const identity = ['-c', 'user.name=a', '-c', 'user.email=a']
    const commit = (message: string): string =>
      git(repository, ...identity, 'commit-tree', '-m', message, '-p', 'main', 'main^{tree}')
    this.commits = ['one', 'two', 'three'].map(commit)
  }

  /** A repository with the branches main, a and b. */
  static async start(t: Test, ...args: string[]): Promise<World> {
    const root = tempDir(t)
    const repository = makeRepository(root, 'r.git')
    const wrapper = makeGitWrapper(t)
    for (const name of ['a', 'b']) git(repository, 'update-ref', `refs/heads/${name}`, 'main')
    const lease = ['--export-all', '--freshness', 'lease', '--git', wrapper.path]
    const sidecar = await startSidecar(t, root, { args: [...lease, ...args] })
    return new World(repository, sidecar, wrapper)
  }

  /** Returns all refs as a client sees them at the sidecar, or at Git. */
  async refs(from: 'sidecar' | 'git' = 'sidecar'): Promise<string> {
    const url = from === 'git' ? this.repository : `${this.sidecar.url}/r.git`
    const args = ['-c', 'protocol.version=2', 'ls-remote', '--symref', url]
    const { stdout } = await run('git', args, { env: gitEnvironment })
    if (from === 'sidecar') await eventually('the listing is kept or dropped', () => this.#isIdle())
    return stdout
  }

  /** Has every listing that was begun ended? A lease that is opened before has it dropped. */
  async #isIdle(): Promise<boolean> {
    const listings = { kind: 'listing' }
    const begun = await this.sidecar.metric('refstream_splices_total', listings)
    return begun === (await this.sidecar.metric('refstream_fills_total', listings))
  }

  /** Runs Git under a lease that names refs at its end. */
  async leased(refs: string[] | undefined, ...args: string[]): Promise<void> {
    const end = await this.open()
    await gitIn(this.repository, ...args)
    await end(refs)
  }

  async open(): Promise<(refs?: string[]) => Promise<void>> {
    const { adminUrl } = this.sidecar
    const opening = { repository: 'r.git', ttlSeconds: 600 }
    const { id } = (await askAdmin(adminUrl, 'POST', '/v1/leases', opening)).body as { id: string }
    return async (refs) => {
      const { status } = await askAdmin(adminUrl, 'DELETE', `/v1/leases/${id}`, { refs })
      if (status !== 204) throw new Error(`status ${status}`)
    }
  }

  listings(result: string): Promise<number> {
    return this.sidecar.metric('refstream_splices_total', { kind: 'listing', result })
  }
}

t.test('the hook', async (t) => {
  const world = await World.start(t, '--unleased-max-age-seconds', '3600')
  const { repository, sidecar } = world
  await installPatientHook(repository, sidecar.adminUrl)
  await world.refs()
  const [one, two, three] = world.commits as [string, string, string]
  const steps: [what: string, result: string, ...args: string[]][] = [
    ['a branch', 'spliced', 'update-ref', 'refs/heads/a', one],
    ['the branch of HEAD', 'spliced', 'update-ref', 'refs/heads/main', two],
    ['HEAD', 'spliced', 'update-ref', 'HEAD', three],
    ['a new branch', 'new', 'update-ref', 'refs/heads/c', one],
    ['the same', 'spliced', 'update-ref', 'refs/heads/c', two],
    ['a deletion', 'unnamed', 'update-ref', '-d', 'refs/heads/b'],
    ['a rename', 'unnamed', 'branch', '-m', 'a', 'renamed'],
    ['what was renamed', 'spliced', 'update-ref', 'refs/heads/renamed', two],
    ['pack-refs', 'unnamed', 'pack-refs', '--all'],
    ['what was packed', 'spliced', 'update-ref', 'refs/heads/renamed', three],
  ]
  for (const [what, result, ...args] of steps) {
    const before = await world.listings(result)
    await gitIn(repository, ...args)
    t.equal(await world.refs(), await world.refs('git'), what)
    t.equal(await world.listings(result), before + 1, `${what}: ${result}`)
  }
})

t.test('what was not named is seen after the maximum age, however many splices there are', async (t) => {
  const world = await World.start(t, '--unleased-max-age-seconds', '2')
  await world.refs()
  const [unsaid, ...others] = world.commits as [string, string, string]
  git(world.repository, 'update-ref', 'refs/heads/b', unsaid)
  let changes = 0
  await eventually('it is seen', async () => {
    await world.leased(['refs/heads/a'], 'update-ref', 'refs/heads/a', others[changes++ % 2]!)
    return (await world.refs()).includes(`${unsaid}\trefs/heads/b`)
  })
  // A listing that is older when it is asked for next has been dropped: `unknown`, as the first one.
  const whole = (await world.listings('age')) + (await world.listings('unknown'))
  t.ok(whole >= 2, 'all refs were listed when the first listing had its age')
})

t.test(
  'a ref that is renamed under a lease while Git is asked is there under one of its names',
  async (t) => {
    const world = await World.start(t, '--unleased-max-age-seconds', '3600')
    const { repository, wrapper } = world
    const [one, two] = world.commits as [string, string]
    // Git is asked for it when it is asked for what begins with refs/heads/a.
    git(repository, 'update-ref', 'refs/heads/ab', two)
    await world.refs()
    await world.leased(['refs/heads/a'], 'update-ref', 'refs/heads/a', one)
    const before = await world.listings('unnamed')
    wrapper.plan(`if [ "$3" = --stateless-rpc ]; then : > "$dir/asked"; ${plans.wait}\nfi`)
    const asking = world.refs()
    await eventually('Git is asked for what has changed', () => wrapper.hasFile('asked'))
    const end = await world.open()
    git(repository, 'update-ref', 'refs/heads/renamed', two)
    git(repository, 'update-ref', '-d', 'refs/heads/ab')
    wrapper.signal('go')
    t.match(await asking, `${two}\trefs/heads/renamed`)
    t.equal(await world.listings('unnamed'), before + 1, 'all refs were listed')
    await end(['refs/heads/ab', 'refs/heads/renamed'])
    t.equal(await world.refs(), await world.refs('git'))
  },
)

t.test('--splice off', async (t) => {
  const world = await World.start(t, '--unleased-max-age-seconds', '3600', '--splice', 'off')
  await world.refs()
  await world.leased(['refs/heads/a'], 'update-ref', 'refs/heads/a', world.commits[0]!)
  t.equal(await world.refs(), await world.refs('git'))
  t.equal(await world.listings('spliced'), 0)
  t.equal(await world.listings('off'), 2)
})
