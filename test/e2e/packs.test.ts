import t from 'tap'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { gitClient } from '../support/git-client.js'
import { inventory } from '../support/pack-repository.js'
import { startPacks, storm, type PackSetup } from '../support/pack-setup.js'
import { git } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

const client = gitClient(2)
const clients = 50

/** Returns the work of one client in a directory of its own, which the storm's clients have in common but for its name. */
const checkout =
  (work: string, url: string, commit: string) =>
  async (name: number | string): Promise<string> => {
    const path = join(work, String(name))
    await client(work, 'init', '--quiet', path)
    await client(path, 'fetch', '--quiet', '--depth=1', url, commit)
    return path
  }

const url = ({ sidecar }: PackSetup): string => `${sidecar.url}/r.git`

t.test('50 clones at once cost one run for the pack, and a later one costs none', async (t) => {
  const setup = await startPacks(t)
  const work = tempDir(t)
  const clone = async (name: number | string): Promise<string> => {
    await client(work, 'clone', '--quiet', '--bare', url(setup), String(name))
    return join(work, String(name))
  }
  const paths = await storm(setup, clients, clone)
  t.equal(setup.wrapper.packs(), 1)
  git(work, 'clone', '--quiet', '--bare', setup.repository, 'direct')
  const direct = await inventory(join(work, 'direct'))
  for (const path of [paths[0]!, paths.at(-1)!, await clone('later')])
    t.ok((await inventory(path)) === direct)
  t.equal(setup.wrapper.packs(), 1, 'the later one is a hit')
  t.same(await Promise.all((['filled', 'coalesced', 'hit', 'passed'] as const).map(setup.packs)), [
    1,
    clients - 1,
    1,
    0,
  ])
  const outcomes = (outcome: string) =>
    setup.sidecar.metric('refstream_requests_total', { kind: 'upload-pack', outcome })
  t.same(await Promise.all(['filled', 'joined', 'hit', 'passthrough'].map(outcomes)), [1, clients - 1, 1, 0])
})

t.test('50 checkouts by commit id, with a push to another branch in the middle: one run', async (t) => {
  const setup = await startPacks(t)
  const { repository, wrapper } = setup
  const commit = git(repository, 'rev-parse', 'main')
  const one = checkout(tempDir(t), url(setup), commit)
  const push = (): string => git(repository, 'update-ref', 'refs/heads/pushed', 'topic~1')
  const paths = await storm(setup, clients, one, push)
  t.equal(wrapper.packs(), 1)
  for (const path of [paths[0]!, paths.at(-1)!, await one('later')]) {
    git(path, 'fsck', '--strict')
    t.equal(git(path, 'rev-parse', 'FETCH_HEAD'), commit)
  }
  t.equal(wrapper.packs(), 1)
  await checkout(tempDir(t), url(setup), git(repository, 'rev-parse', 'topic'))('other')
  t.equal(wrapper.packs(), 2, 'another commit has a pack of its own')
})

t.test('50 clones of one branch stay one run if another branch is pushed between', async (t) => {
  const setup = await startPacks(t)
  const { repository, wrapper } = setup
  const work = tempDir(t)
  const args = ['clone', '--quiet', '--bare', '--single-branch', '--branch=main', url(setup)]
  const push = (): string => git(repository, 'update-ref', 'refs/heads/pushed', 'topic~1')
  await storm(setup, 20, (index) => client(work, ...args, String(index)), push)
  t.equal(wrapper.packs(), 1)
  git(join(work, '19'), 'fsck', '--strict')
})

t.test('50 equal work trees fetch what was pushed: one run', async (t) => {
  const setup = await startPacks(t)
  const { repository, wrapper } = setup
  const work = tempDir(t)
  const before = git(repository, 'rev-parse', 'main')
  git(repository, 'update-ref', 'refs/heads/main', 'main~10')
  git(work, 'clone', '--quiet', '--bare', '--single-branch', '--no-tags', `file://${repository}`, 'old')
  git(join(work, 'old'), 'config', 'remote.origin.fetch', '+refs/heads/main:refs/heads/main')
  git(join(work, 'old'), 'config', 'remote.origin.url', url(setup))
  for (let index = 0; index < clients; index++) {
    cpSync(join(work, 'old'), join(work, String(index)), { recursive: true })
  }
  git(repository, 'update-ref', 'refs/heads/main', before)
  await storm(setup, clients, (index) => client(join(work, String(index)), 'fetch', '--quiet', '--no-tags'))
  t.equal(wrapper.packs(), 1)
  for (const index of [0, clients - 1]) {
    git(join(work, String(index)), 'fsck', '--strict')
    t.equal(git(join(work, String(index)), 'rev-parse', 'main'), before)
  }
})

t.test('a tag that is new is in the next clone', async (t) => {
  const { repository, sidecar } = await startPacks(t)
  const work = tempDir(t)
  // Without `--tags` a client gets tags by include-tag alone, in the pack of the branch.
  const tagsOf = async (name: string): Promise<string> => {
    await client(work, 'clone', '--quiet', '--bare', '--single-branch', `${sidecar.url}/r.git`, name)
    git(join(work, name), 'fsck', '--strict')
    return git(join(work, name), 'tag', '--list')
  }
  t.equal(await tagsOf('one'), 'light\nv1\nv2')
  for (const name of ['v3', 'v4']) {
    git(repository, 'tag', '-a', '-m', 'new', name, 'main~3')
    t.match(await tagsOf(`with-${name}`), new RegExp(`${name}$`))
  }
  git(repository, 'tag', '-d', 'v3')
  t.equal(await tagsOf('last'), 'light\nv1\nv2\nv4')
})
