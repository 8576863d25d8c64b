import t from 'tap'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { ask, infoRefs } from '../support/http-client.js'
import { pktLine } from '../../src/git/protocol/pkt-line.js'
import { eventually } from '../support/eventually.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const pkt = (text: string): string => (text.length + 4).toString(16).padStart(4, '0') + text
/** The request of a shallow clone in protocol v0. */
const wantAll = (id: string): string => `${pkt(`want ${id} ofs-delta no-progress\n`)}0000${pkt('done\n')}`
const uploadPack = { 'Content-Type': 'application/x-git-upload-pack-request' }

t.test('plain, compressed and chunked bodies, and one after 100-continue, reach Git', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  const url = `${sidecar.url}/r.git/git-upload-pack`
  const body = wantAll(git(repository, 'rev-parse', 'main'))
  const pack = /^0008NAK\nPACK/

  const plain = await ask(url, { method: 'POST', headers: uploadPack, body })
  t.equal(plain.headers['content-type'], 'application/x-git-upload-pack-result')
  t.match(plain.body.toString('latin1'), pack)
  const zipped = { ...uploadPack, 'Content-Encoding': 'gzip' }
  t.same((await ask(url, { method: 'POST', headers: zipped, body: gzipSync(body) })).body, plain.body)
  const chunked = { ...uploadPack, 'Transfer-Encoding': 'chunked' }
  t.same((await ask(url, { method: 'POST', headers: chunked, body })).body, plain.body)
  const expecting = { ...uploadPack, Expect: '100-continue', 'Content-Length': String(body.length) }
  t.same((await ask(url, { method: 'POST', headers: expecting, body })).body, plain.body)
  const wrong = await ask(url, { method: 'POST', headers: { 'Content-Type': 'text/html' }, body })
  t.equal(wrong.status, 415, 'Git’s own errors are passed on')
})

t.test('dumb HTTP: files are served as by Git, unless http.getanyfile is off', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  const get = (path: string) => ask(`${sidecar.url}/r.git/${path}`)
  t.equal((await get('HEAD')).body.toString(), 'ref: refs/heads/main\n')
  t.match((await get('info/refs')).body.toString(), /^[0-9a-f]{40}\trefs\/heads\/main\n/)
  const id = git(repository, 'rev-parse', 'main')
  const object = `objects/${id.slice(0, 2)}/${id.slice(2)}`
  t.same((await get(object)).body, readFileSync(join(repository, object)))
  const head = await ask(`${sidecar.url}/r.git/${object}`, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.body.length, 0)
  git(repository, 'config', 'http.getanyfile', 'false')
  t.equal((await get('HEAD')).status, 403)
})

t.test('Git’s own rules decide which services are allowed', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  makeRepository(root, 'hidden.git', { exported: false })
  const sidecar = await startSidecar(t, root, { args: ['--remote-user-header', 'X-User'] })
  const status = async (repo: string, service?: string, headers = {}): Promise<number> => {
    const answer = await ask(infoRefs(sidecar.url, repo, service), { headers })
    // Git's refusals have no body; refstream's refusal of a push says why.
    const told = answer.status === 403 && service === 'git-receive-pack'
    if (answer.status >= 400) t.match(answer.body.toString(), told ? /^refstream: .*http\.receivepack/ : /^$/)
    return answer.status
  }
  t.equal(await status('hidden.git'), 404, 'not exported')
  t.equal(await status('hidden.git', 'git-receive-pack'), 404)
  writeFileSync(join(root, 'hidden.git/git-daemon-export-ok'), '')
  t.equal(await status('hidden.git'), 200, 'exported from now on')

  t.equal(await status('r.git', 'git-receive-pack'), 403, 'anonymous pushes are refused')
  t.equal(
    await status('r.git', 'git-receive-pack', { 'X-User': 'alice' }),
    200,
    'an authenticated user may push',
  )
  t.equal(await status('r.git', 'git-receive-pack', { 'X-User': '' }), 403)
  const twice = await ask(infoRefs(sidecar.url, 'r.git', 'git-receive-pack'), {
    headers: { 'X-User': ['alice', 'root'] },
  })
  t.equal(twice.status, 400, 'two user headers are refused')

  git(repository, 'config', 'http.receivepack', 'false')
  t.equal(await status('r.git', 'git-receive-pack', { 'X-User': 'alice' }), 403, 'pushes are off here')

  git(repository, 'config', 'http.uploadpack', 'false')
  t.equal(await status('r.git'), 403, 'http.uploadpack off, at once')
  git(repository, 'config', 'http.uploadpack', 'true')
  t.equal(await status('r.git'), 200, 'and on again')
})

t.test('a user header is ignored unless the option names it', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  const url = infoRefs(sidecar.url, 'r.git', 'git-receive-pack')
  const headers = {
    'X-User': 'alice',
    'Remote-User': 'alice',
    REMOTE_USER: 'alice',
    Authorization: 'Basic YTpi',
  }
  t.equal((await ask(url, { headers })).status, 403)
})

t.test('a pushing user’s name reaches the reflog', async (t) => {
  const root = tempDir(t)
  const work = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'core.logAllRefUpdates', 'true')
  const sidecar = await startSidecar(t, root, { args: ['--remote-user-header', 'X-User'] })
  git(work, 'clone', '--quiet', repository, 'clone')
  git(join(work, 'clone'), 'commit', '--quiet', '--allow-empty', '-m', 'two')
  const { simpleGit } = await import('simple-git')
  const client = simpleGit(join(work, 'clone'), { config: ['http.extraHeader=X-User: alice'] })
  await client.push(`${sidecar.url}/r.git`, 'HEAD:main')
  t.match(
    readFileSync(join(repository, 'logs/refs/heads/main'), 'utf8'),
    / alice <alice@http\.127\.0\.0\.1> /,
  )
})

t.test('the namespace of the sidecar’s environment applies to cached and other answers', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const main = git(repository, 'rev-parse', 'main')
  git(repository, 'update-ref', 'refs/namespaces/ns/refs/heads/inside', main)
  const sidecar = await startSidecar(t, root, { environment: { GIT_NAMESPACE: 'ns' } })
  const cached = await ask(infoRefs(sidecar.url, 'r.git'))
  t.match(cached.body.toString(), / refs\/heads\/inside\0/)
  t.notMatch(cached.body.toString(), /refs\/heads\/main/)
  const passed = await ask(`${sidecar.url}/r.git/info/refs`)
  t.equal(passed.body.toString(), `${main}\trefs/heads/inside\n`)
})

t.test('the Git process of a client that disconnects is ended', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'http.receivepack', 'true')
  const sidecar = await startSidecar(t, root)
  const running = (): Promise<number> => sidecar.metric('refstream_processes_running')
  const push = request(`${sidecar.url}/r.git/git-receive-pack`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-git-receive-pack-request', 'Content-Length': 200_000 },
  })
  push.on('error', () => {})
  // The process starts with the first 64 KiB; Git waits for more commands.
  const ids = `${'0'.repeat(40)} ${git(repository, 'rev-parse', 'main')}`
  for (let count = 0; count < 1000; count++) push.write(pktLine(`${ids} refs/heads/new-${count}\n`))
  await eventually('Git waits for the rest', async () => (await running()) === 1)
  push.destroy()
  await new Promise((resolve) => push.once('close', resolve))
  await eventually('Git is gone', async () => (await running()) === 0)
  const aborted = (): Promise<number> => sidecar.metric('refstream_requests_total', { outcome: 'aborted' })
  await eventually('and counted', async () => (await aborted()) === 1)
})

t.test('a long body that Git does not read does not affect the answer', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  const answer = await ask(`${sidecar.url}/r.git/git-receive-pack`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-git-receive-pack-request' },
    body: Buffer.alloc(5_000_000),
  })
  t.equal(answer.status, 403)
  t.match(answer.body.toString(), /^refstream: .*http\.receivepack/)
})
