import t from 'tap'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { simpleGit } from 'simple-git'
import { eventually } from '../support/eventually.js'
import { git, gitEnvironment, makeCommit, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const run = promisify(execFile)

/** Runs a real client in one protocol version; asynchronous, since this process reads the server's log. */
const client =
  (version: number) =>
  async (cwd: string, ...args: string[]): Promise<string> => {
    const options = { cwd, env: { ...gitEnvironment, HOME: cwd } }
    return (await run('git', ['-c', `protocol.version=${version}`, ...args], options)).stdout.trim()
  }

for (const version of [0, 1, 2]) {
  t.test(`protocol v${version}: clone, fetch, push and ls-remote`, async (t) => {
    const root = tempDir(t)
    const work = tempDir(t)
    const repository = makeRepository(root, 'project.git')
    git(repository, 'config', 'http.receivepack', 'true')
    const sidecar = await startSidecar(t, root)
    const remote = `${sidecar.url}/project.git`
    const asClient = client(version)
    const refs = (): string => git(repository, 'for-each-ref', '--format=%(objectname)\t%(refname)')

    await asClient(work, 'clone', '--quiet', remote, 'clone')
    const clone = join(work, 'clone')
    t.equal(git(clone, 'rev-parse', 'HEAD'), git(repository, 'rev-parse', 'main'), 'the clone has the commit')
    t.equal(git(clone, 'rev-parse', 'v1'), git(repository, 'rev-parse', 'v1'), 'with its tag')
    git(clone, 'fsck', '--strict')

    git(clone, 'commit', '--quiet', '--allow-empty', '-m', 'two')
    await asClient(clone, 'push', '--quiet', 'origin', 'HEAD:main', 'HEAD:refs/heads/topic')
    t.equal(git(repository, 'rev-parse', 'main'), git(clone, 'rev-parse', 'HEAD'), 'the push arrived')
    t.equal(await asClient(work, 'ls-remote', '--refs', remote), refs(), 'the next listing shows the push')

    const third = makeCommit(repository, 'three', git(repository, 'rev-parse', 'main'))
    git(repository, 'update-ref', 'refs/heads/main', third)
    await asClient(clone, 'fetch', '--quiet', 'origin')
    t.equal(git(clone, 'rev-parse', 'origin/main'), third, 'a fetch sees a push that bypassed the sidecar')

    await asClient(clone, 'push', '--quiet', 'origin', ':topic')
    t.notMatch(await asClient(work, 'ls-remote', remote), /topic/, 'a deleted branch is gone at once')
    await asClient(work, 'clone', '--quiet', '--depth=1', '--branch=main', remote, 'shallow')
    t.equal(git(join(work, 'shallow'), 'rev-list', '--count', 'HEAD'), '1')

    const asked = { kind: 'advertisement', protocol: `v${version}` }
    t.ok((await sidecar.metric('refstream_requests_total', asked)) >= 5, 'all requests used this protocol')
    t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'error' }), 0, 'without an error')
    t.equal(await sidecar.metric('refstream_loser_writes_total'), 0)
    const running = (): Promise<number> => sidecar.metric('refstream_processes_running')
    await eventually('no process stays', async () => (await running()) === 0)
  })
}

t.test('a rejected push and a refused object are reported in Git’s own words', async (t) => {
  const root = tempDir(t)
  const work = tempDir(t)
  const repository = makeRepository(root, 'project.git')
  const sidecar = await startSidecar(t, root)
  const remote = `${sidecar.url}/project.git`
  const asClient = client(2)
  await asClient(work, 'clone', '--quiet', remote, 'clone')
  const clone = join(work, 'clone')
  git(clone, 'commit', '--quiet', '--allow-empty', '-m', 'two')
  const complaint = (...args: string[]): Promise<string> =>
    asClient(clone, ...args).then(
      () => 'it succeeded',
      (error: unknown) => (error as { stderr: string }).stderr,
    )
  t.match(await complaint('push', 'origin', 'HEAD:main'), /403/, 'pushes are off by default')
  t.match(await complaint('fetch', 'origin', '1'.repeat(40)), /not our ref 1{40}/)
  git(repository, 'config', 'http.receivepack', 'true')
  git(repository, 'config', 'receive.denyDeletes', 'true')
  t.match(await complaint('push', 'origin', ':main'), /deletion prohibited/)
})

t.test('simple-git clones and lists', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'nested/project.git')
  const sidecar = await startSidecar(t, root)
  const listing = await simpleGit().listRemote([`${sidecar.url}/nested/project`, 'refs/heads/main'])
  t.equal(listing.split('\t')[0], git(repository, 'rev-parse', 'main'), 'without .git in its name')
})
