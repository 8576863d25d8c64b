import t, { type Test } from 'tap'
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startLfsServer } from '../support/lfs-server.js'
import { git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { startSmartServer } from '../support/smart-server.js'
import { tempDir } from '../support/temp-dir.js'
import { outputOf, skipReason } from '../support/upstreams/programs.js'

const run = promisify(execFile)
const missing = outputOf('git-lfs', 'version') === undefined ? 'git-lfs is not installed' : undefined
const skip = skipReason('git-lfs', missing)
const content = 'large\n'.repeat(1000)

/** Makes a client's home with git-lfs in its configuration. @returns runs Git there; resolves with what it prints */
function makeClient(t: Test, credentials?: string) {
  const home = tempDir(t)
  const filter = (name: string): string => `${name} = git-lfs ${name} ${name === 'process' ? '' : '-- %f'}`
  const helper =
    credentials === undefined ? '' : `[credential]\nhelper = store --file=${join(home, 'store')}\n`
  const filters = ['clean', 'smudge'].map(filter).join('\n')
  writeFileSync(
    join(home, '.gitconfig'),
    `[filter "lfs"]\n${filters}\nprocess = git-lfs filter-process\nrequired = true\n[lfs]\nlocksverify = false\n${helper}`,
  )
  if (credentials !== undefined) writeFileSync(join(home, 'store'), credentials)
  const env = { ...gitEnvironment, HOME: home }
  const client = async (cwd: string, ...args: string[]) =>
    (await run('git', args, { cwd, env })).stdout.trim()
  return { home, client }
}

/** Pushes a commit with a large file in LFS, and clones it again. @returns the file of the clone */
async function pushAndClone(t: Test, remote: string, credentials?: string): Promise<string> {
  const { home, client } = makeClient(t, credentials)
  const work = join(home, 'work')
  await client(home, 'clone', '--quiet', remote, 'work')
  writeFileSync(join(work, '.gitattributes'), '*.bin filter=lfs diff=lfs merge=lfs -text\n')
  writeFileSync(join(work, 'a.bin'), content)
  await client(work, 'add', '.')
  await client(work, 'commit', '--quiet', '-m', 'large')
  await client(work, 'lfs', 'push', 'origin', 'HEAD')
  await client(work, 'push', '--quiet', 'origin', 'HEAD:refs/heads/main')
  const other = makeClient(t, credentials)
  await other.client(other.home, 'clone', '--quiet', '--branch', 'main', remote, 'clone')
  return readFileSync(join(other.home, 'clone', 'a.bin'), 'utf8')
}

function makePushable(t: Test): string {
  const root = tempDir(t)
  git(makeRepository(root, 'a.git'), 'config', 'http.receivepack', 'true')
  return root
}

t.test(
  'git-lfs follows a redirect to the server that has LFS objects, with credentials for that',
  { skip },
  async (t) => {
    const basic = `Basic ${Buffer.from('alice:secret').toString('base64')}`
    const lfs = await startLfsServer(t, basic)
    const { url, metric } = await startSidecar(t, makePushable(t), {
      args: ['--lfs-redirect', `${lfs.url}/`],
    })
    // git-lfs asks for credentials for the remote before it follows the redirect again, and sends them to no other server.
    const withUser = (server: string, user: string): string =>
      `${server.replace('//', `//${user}:secret@`)}\n`
    const credentials = withUser(url, 'of-refstream') + withUser(lfs.url, 'alice')
    t.equal(await pushAndClone(t, `${url}/a.git`, credentials), content)
    t.equal(lfs.objects.size, 1)
    const batches = lfs.requests.filter(({ line }) => line === 'POST /a.git/info/lfs/objects/batch')
    t.same(new Set(batches.map(({ authorization }) => authorization)), new Set([undefined, basic]))
    t.ok((await metric('refstream_requests_total', { outcome: 'redirected' })) >= 2)
  },
)

t.test(
  'an upstream’s LFS is passed through, and its addresses stay as it gives them',
  { skip },
  async (t) => {
    const lfs = await startLfsServer(t)
    const upstream = await startSmartServer(t, makePushable(t), (request, response) => {
      const isLfs = request.url?.includes('/info/lfs/') ?? false
      if (isLfs) lfs.handle(request, response)
      return isLfs
    })
    const { url, metric } = await startSidecar(t, undefined, { args: ['--upstream', upstream] })
    t.equal(await pushAndClone(t, `${url}/a.git`), content)
    const object = `/content/${[...lfs.objects.keys()][0]}`
    t.same(
      new Set(lfs.requests.map(({ line }) => line)),
      new Set(['POST /a.git/info/lfs/objects/batch', `PUT ${object}`, `GET ${object}`]),
    )
    t.ok((await metric('refstream_requests_total', { kind: 'pass', outcome: 'passthrough' })) >= 2)
  },
)

t.test('without either, git-lfs says what to do', { skip }, async (t) => {
  const { url } = await startSidecar(t, makePushable(t))
  const { home, client } = makeClient(t)
  mkdirSync(join(home, 'x'))
  await client(home, 'init', '--quiet', 'x')
  const work = join(home, 'x')
  writeFileSync(join(work, '.gitattributes'), '*.bin filter=lfs diff=lfs merge=lfs -text\n')
  writeFileSync(join(work, 'a.bin'), content)
  await client(work, 'add', '.')
  await client(work, 'commit', '--quiet', '-m', 'large')
  await client(work, 'remote', 'add', 'origin', `${url}/a.git`)
  const pushed = await client(work, 'lfs', 'push', 'origin', 'HEAD').catch(
    (error: unknown) => (error as { stderr: string }).stderr,
  )
  t.match(pushed, /this server has no LFS objects; set lfs.url/)
})
