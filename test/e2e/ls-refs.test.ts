import t from 'tap'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync, gzipSync } from 'node:zlib'
import { pktLine } from '../../src/git/protocol/pkt-line.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask, type Answer } from '../support/http-client.js'
import {
  addPackedBranches,
  git,
  gitEnvironment,
  makeCommit,
  makeRepository,
} from '../support/repositories.js'
import { sha256 } from '../support/sha256.js'
import { startSidecar } from '../support/sidecar.js'
import { filesIn } from '../support/stream-cache.js'
import { tempDir } from '../support/temp-dir.js'

const run = promisify(execFile)
const client = async (cwd: string, ...args: string[]): Promise<string> => {
  const options = { cwd, env: { ...gitEnvironment, HOME: cwd }, maxBuffer: 1 << 28 }
  return (await run('git', ['-c', 'protocol.version=2', ...args], options)).stdout
}

const headers = {
  'Git-Protocol': 'version=2',
  'Content-Type': 'application/x-git-upload-pack-request',
}

/** A protocol v2 command as clients send it. */
function command(name: string, parameters: readonly string[], ...capabilities: string[]): Buffer {
  return Buffer.concat([
    ...[`command=${name}`, 'agent=git/test', 'object-format=sha1', ...capabilities].map((line) =>
      pktLine(`${line}\n`),
    ),
    Buffer.from('0001'),
    ...parameters.map((line) => pktLine(`${line}\n`)),
    Buffer.from('0000'),
  ])
}

const post = (url: string, body: Buffer, more: Record<string, string> = {}): Promise<Answer> =>
  ask(`${url}/r.git/git-upload-pack`, { method: 'POST', headers: { ...headers, ...more }, body })

t.test('50 concurrent Git clients cost one process when cold and none when warm', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, 20_000)
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const expected = git(repository, 'for-each-ref', '--format=%(objectname)\t%(refname)', 'refs/heads')
  const storm = async (): Promise<void> => {
    const remote = `${sidecar.url}/r.git`
    const outputs = await Promise.all(
      Array.from({ length: 50 }, () => client(root, 'ls-remote', '--heads', remote)),
    )
    t.equal(new Set(outputs.map((output) => output.trim())).size, 1)
    t.equal(outputs[0]?.trim(), expected)
  }
  await storm()
  t.equal(wrapper.count('upload-pack'), 2, 'the capability advertisement and the listing')
  t.equal(wrapper.count('http-backend'), 0)
  await storm()
  t.equal(wrapper.count('upload-pack'), 2)
  t.equal(wrapper.count('http-backend'), 0)

  git(repository, 'update-ref', 'refs/heads/new', 'refs/heads/main')
  t.match(
    await client(root, 'ls-remote', `${sidecar.url}/r.git`),
    /refs\/heads\/new\n/,
    'a change is visible at once',
  )
  await eventually(
    'a change costs one listing, and its audit another; the capability advertisement has no refs',
    async () => wrapper.count('upload-pack') === 3 + (await sidecar.metric('refstream_splice_audits_total')),
  )
})

t.test('Git clients fetch as from Git’s own server', async (t) => {
  const root = tempDir(t)
  const work = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'uploadpack.allowFilter', 'true')
  git(repository, 'update-ref', 'refs/heads/topic', makeCommit(repository, 'topic', 'main'))
  const sidecar = await startSidecar(t, root)
  const remote = `${sidecar.url}/r.git`
  const head = (clone: string): string => git(join(work, clone), 'rev-parse', 'HEAD')

  await client(work, 'clone', '--quiet', '--branch', 'topic', remote, 'topic')
  t.equal(head('topic'), git(repository, 'rev-parse', 'topic'))
  await client(work, 'clone', '--quiet', '--depth=1', remote, 'shallow')
  t.equal(head('shallow'), git(repository, 'rev-parse', 'main'))
  await client(work, 'clone', '--quiet', '--filter=blob:none', remote, 'partial')
  t.equal(git(join(work, 'partial'), 'config', 'remote.origin.promisor'), 'true')
  await client(join(work, 'shallow'), 'fetch', '--quiet', 'origin', 'topic')
  t.equal(git(join(work, 'shallow'), 'rev-parse', 'FETCH_HEAD'), git(repository, 'rev-parse', 'topic'))
  t.ok((await sidecar.metric('refstream_requests_total', { kind: 'ls-refs', outcome: 'hit' })) >= 2)
})

t.test(
  'without packs, any other command is passed through to Git, and Git’s answer is returned',
  async (t) => {
    const root = tempDir(t)
    const repository = makeRepository(root, 'r.git')
    const wrapper = makeGitWrapper(t)
    const sidecar = await startSidecar(t, root, { args: ['--no-packs', '--git', wrapper.path] })
    const main = git(repository, 'rev-parse', 'main')
    const passed = async (what: string, body: Buffer, expected: RegExp, more = {}): Promise<void> => {
      const before = wrapper.count('http-backend')
      const answer = await post(sidecar.url, body, more).catch(() => undefined)
      if (answer) t.match(answer.body.toString('latin1'), expected, what)
      t.equal(wrapper.count('http-backend'), before + 1, `${what} is passed through`)
    }
    await passed('fetch', command('fetch', [`want ${main}`, 'done']), /^000dpackfile\n/)
    const zipped = gzipSync(command('fetch', [`want ${main}`, 'done']))
    await passed('fetch, compressed', zipped, /^000dpackfile\n/, { 'Content-Encoding': 'gzip' })
    const haves = Array.from({ length: 3000 }, (_, index) => `have ${index.toString(16).padStart(40, '0')}`)
    const long = command('fetch', [`want ${main}`, ...haves, 'done'])
    await passed('a long fetch', long, /packfile\n/)
    await passed('a long fetch, compressed', gzipSync(long), /packfile\n/, { 'Content-Encoding': 'gzip' })
    await passed('an unknown argument', command('ls-refs', ['frobnicate']), /^$/)
    await passed('an unknown capability', command('ls-refs', ['peel'], 'frobnicate'), /^$/)
    await passed('a server option', command('ls-refs', ['peel'], 'server-option=x'), /refs\/heads\/main/)
    const otherFormat = command('ls-refs', ['peel']).toString().replace('sha1', 'sha2')
    await passed('a wrong object format', Buffer.from(otherFormat), /^$/)
    await passed('garbage', Buffer.from('this is no pkt-line'), /^$/)
    await passed('nothing', Buffer.alloc(0), /^$/)
    const wide = Array.from({ length: 65_536 }, (_, index) => `ref-prefix refs/x/${index}`)
    await passed('65,536 prefixes, which count as none', command('ls-refs', wide), /refs\/heads\/main/)
  },
)

t.test(
  'compressed commands are answered, and one that inflates without bound is passed to Git',
  async (t) => {
    const root = tempDir(t)
    makeRepository(root, 'r.git')
    const sidecar = await startSidecar(t, root)
    const body = command('ls-refs', ['peel', 'symrefs', 'ref-prefix refs/heads/'])
    const plain = await post(sidecar.url, body)
    t.match(plain.body.toString(), /^003d[0-9a-f]{40} refs\/heads\/main\n0000$/)
    t.same(plain.rawHeaders.slice(0, 8), [
      ...['Expires', 'Fri, 01 Jan 1980 00:00:00 GMT', 'Pragma', 'no-cache'],
      ...['Cache-Control', 'no-cache, max-age=0, must-revalidate'],
      ...['Content-Type', 'application/x-git-upload-pack-result'],
    ])
    const zipped = await post(sidecar.url, gzipSync(body), { 'Content-Encoding': 'gzip' })
    t.same(zipped.body, plain.body)
    const bomb = gzipSync(
      command(
        'ls-refs',
        Array.from({ length: 50_000 }, () => 'ref-prefix refs/heads/'),
      ),
    )
    t.ok(bomb.length < 10_000)
    const long = await post(sidecar.url, bomb, { 'Content-Encoding': 'gzip' })
    t.equal(long.status, 200)
    t.match(long.body.toString(), /^003d[0-9a-f]{40} refs\/heads\/main\n0000$/, 'Git answers it')
  },
)

t.test('the listing survives a restart, and a change of configuration takes effect at once', async (t) => {
  const root = tempDir(t)
  const cacheDir = join(tempDir(t), 'cache')
  const repository = makeRepository(root, 'r.git')
  const wrapper = makeGitWrapper(t)
  const options = { cacheDir, args: ['--git', wrapper.path] }
  const body = command('ls-refs', ['peel', 'symrefs'])
  const first = await startSidecar(t, root, options)
  const before = await post(first.url, body)
  await eventually('the listing is committed', () => filesIn(cacheDir, 'entries').length === 1)
  await first.stop('SIGKILL')
  const second = await startSidecar(t, root, options)
  t.same((await post(second.url, body)).body, before.body)
  t.equal(wrapper.count('upload-pack'), 1)

  git(repository, 'config', 'transfer.hideRefs', 'refs/tags')
  t.notMatch((await post(second.url, body)).body.toString(), /refs\/tags/)
  git(repository, 'config', 'http.uploadpack', 'false')
  t.equal((await post(second.url, body)).status, 403)
})

t.test('a listing that Git does not finish is an error, never a short list', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 2000)
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const body = command('ls-refs', ['peel', 'symrefs'])
  for (const plan of [plans.dieAfter(5000), plans.cutAfter(5000), plans.dieAfter(0)]) {
    wrapper.plan(plan)
    const ends = await Promise.all(
      Array.from({ length: 10 }, () =>
        post(sidecar.url, body).then(
          ({ status }) => String(status),
          () => 'broken off',
        ),
      ),
    )
    for (const end of ends) t.match(end, /^(503|broken off)$/)
  }
  wrapper.plan(undefined)
  let answer = await post(sidecar.url, body)
  await eventually(
    'the fill is tried again',
    async () => (answer = await post(sidecar.url, body)).status === 200,
  )
  t.equal(answer.body.toString().match(/ refs\/heads\//g)?.length, 2001)
})

t.test('a request for the first refs is answered before the listing is complete', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, 100, 'a/')
  addPackedBranches(repository, 5000, 'b/')
  const wrapper = makeGitWrapper(t)
  wrapper.plan(plans.pause(20_000))
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  const late = post(sidecar.url, command('ls-refs', ['ref-prefix refs/heads/b/']))
  const { body } = await post(sidecar.url, command('ls-refs', ['ref-prefix refs/heads/a/']))
  t.equal(body.toString().match(/ refs\/heads\/a\//g)?.length, 100, 'answered')
  t.notOk(wrapper.hasFile('go'), 'while Git pauses')
  wrapper.signal('go')
  t.equal((await late).body.toString().match(/ refs\/heads\/b\//g)?.length, 5000)
  t.equal(wrapper.count('upload-pack'), 1)
})

t.test('another refstream is told that nothing has changed, or gets what has, compressed', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, 5000)
  const sidecar = await startSidecar(t, root)
  const gets = { 'Accept-Encoding': 'gzip' }
  for (const prefixes of [[], ['HEAD', 'refs/heads/'], ['refs/heads/none/']]) {
    const body = command('ls-refs', ['peel', 'symrefs', ...prefixes.map((prefix) => `ref-prefix ${prefix}`)])
    const plain = await post(sidecar.url, body, gets)
    t.match(plain.headers, { etag: undefined, 'content-encoding': undefined })
    const tag = `"${sha256(plain.body)}"`
    const unchanged = await post(sidecar.url, body, { ...gets, 'If-None-Match': tag })
    t.match(unchanged, { status: 412, headers: { etag: tag } })
    t.ok(unchanged.body.length === 0 && unchanged.rawHeaders.join('').length < 400)
    git(repository, 'update-ref', `refs/heads/new${prefixes.length}`, 'refs/heads/main')
    const changed = await post(sidecar.url, body, { ...gets, 'If-None-Match': tag })
    const bytes = changed.headers['content-encoding'] === 'gzip' ? gunzipSync(changed.body) : changed.body
    t.equal(changed.status, prefixes[0] === 'refs/heads/none/' ? 412 : 200)
    if (changed.status === 412) continue
    t.equal(changed.headers['content-encoding'], 'gzip')
    t.equal(changed.headers.etag, `"${sha256(bytes)}-gzip"`)
    t.same(bytes, (await post(sidecar.url, body)).body)
  }
})
