import t from 'tap'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask, connect, infoRefs } from '../support/http-client.js'
import {
  addPackedBranches,
  git,
  gitEnvironment,
  initBare,
  makeCommit,
  makeRepository,
} from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const run = promisify(execFile)
const target = '/r.git/info/refs?service=git-upload-pack'

t.test('a client that stalls a fill does not delay requests after a change', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, 300_000)
  const sidecar = await startSidecar(t, root, { args: ['--max-lead-bytes', '1MiB'] })
  const stalled = connect(sidecar.url)
  stalled.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await once(stalled, 'readable')
  git(repository, 'update-ref', 'refs/heads/zz-new', 'refs/heads/main')
  const { body } = await ask(infoRefs(sidecar.url, 'r.git'))
  t.ok(body.includes(' refs/heads/zz-new\n'))
  stalled.destroy()
})

t.test('a request with If-None-Match is answered on a large entry that is not yet cached', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 100_000)
  const sidecar = await startSidecar(t, root, { args: ['--max-lead-bytes', '1MiB'] })
  const headers = { 'If-None-Match': '"x"' }
  const { status, headers: answered } = await ask(infoRefs(sidecar.url, 'r.git'), { headers })
  t.equal(status, 200)
  t.match(answered.etag, /^"[0-9a-f]{64}"$/)
})

const python = spawnSync('python3', ['--version']).status === 0
t.test(
  'an answer that breaks off is an error for clients of HTTP/1.0 too',
  { skip: !python && 'this needs python3' },
  async (t) => {
    const root = tempDir(t)
    addPackedBranches(makeRepository(root, 'r.git'), 5000)
    const wrapper = makeGitWrapper(t)
    const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
    wrapper.plan(plans.dieAfter(100_000))
    const { hostname, port } = new URL(sidecar.url)
    // Not a client in Node: on a hang-up that comes with the last bytes, libuv reports a clean end without asking for more.
    const client = `
import socket
s = socket.create_connection(('${hostname}', ${port}))
s.sendall(b'GET ${target} HTTP/1.0\\r\\n\\r\\n')
try:
    while s.recv(65536): pass
    print('end')
except ConnectionResetError:
    print('reset')
`
    t.equal((await run('python3', ['-c', client])).stdout.trim(), 'reset')
  },
)

t.test('pipelined requests are answered in order, and are dropped with their connection', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 20_000)
  const sidecar = await startSidecar(t, root)
  const request = `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`
  for (let round = 0; round < 5; round++) {
    const socket = connect(sidecar.url)
    socket.write(request.repeat(4))
    await once(socket, 'readable')
    socket.destroy()
  }
  await eventually('no follower is left', async () => (await sidecar.metric('refstream_followers')) === 0)
  const asked = (): Promise<number> => sidecar.metric('refstream_requests_total')
  await eventually('all are counted', async () => (await asked()) === 20)
})

t.test('concurrent requests that need a setting of Git’s share one `git config`', async (t) => {
  const root = tempDir(t)
  const repository = initBare(root, 'r.git', { objectFormat: 'sha256' })
  git(repository, 'update-ref', 'refs/heads/main', makeCommit(repository, 'one'))
  git(repository, 'config', 'http.uploadpack', 'true')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  await eventually('the configuration at the start has been read', () => wrapper.count('config') === 1)
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(infoRefs(sidecar.url, 'r.git'))))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(wrapper.count('upload-pack'), 1)
  t.ok(wrapper.count('config') <= 1 + 2 * 2, 'at most two settings, for each of the first two observations')
})

t.test('garbage after a request does not get into its answer', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 100_000)
  const sidecar = await startSidecar(t, root)
  await ask(infoRefs(sidecar.url, 'r.git'))
  const socket = connect(sidecar.url)
  socket.on('error', () => {})
  socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await once(socket, 'readable')
  socket.write('this is not HTTP\r\n\r\n')
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise((resolve) => socket.once('close', resolve))
  const [head = '', ...body] = Buffer.concat(chunks).toString('latin1').split('\r\n\r\n')
  const length = Number(/^Content-Length: (\d+)$/m.exec(head)?.[1])
  t.notOk(
    body.join('\r\n\r\n').slice(0, length).includes('HTTP/1.1 400'),
    'the error comes after the answer, if at all',
  )
})

t.test('Git processes end when a client that pipelines and never reads disconnects', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  addPackedBranches(repository, 100_000)
  git(repository, 'config', 'http.receivepack', 'true')
  const sidecar = await startSidecar(t, root, { args: ['--drain-seconds', '1'] })
  const socket = connect(sidecar.url)
  const second = target.replace('upload', 'receive')
  socket.write([target, second].map((each) => `GET ${each} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  const running = (): Promise<number> => sidecar.metric('refstream_processes_running')
  const waiting = (): Promise<number> => sidecar.metric('refstream_requests_pipelined')
  await eventually('the second waits for the first', async () => (await waiting()) === 1)
  socket.destroy()
  await eventually('the second does not wait any more', async () => (await waiting()) === 0)
  await eventually('nothing runs', async () => (await running()) === 0)
  t.equal(await sidecar.stop(), 0)
})

t.test('a push that has arrived whole is carried out though its client has left', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'http.receivepack', 'true')
  const done = join(root, 'done')
  const hook = `#!/bin/sh\ntouch '${root}/started'; sleep 0.5; touch '${done}'\n`
  writeFileSync(join(repository, 'hooks/post-receive'), hook, { mode: 0o755 })
  const sidecar = await startSidecar(t, root)
  const clone = join(tempDir(t), 'clone')
  git(root, 'clone', '--quiet', repository, clone)
  const push = spawn('git', ['-C', clone, 'push', '--quiet', `${sidecar.url}/r.git`, 'HEAD:refs/heads/new'], {
    env: gitEnvironment,
    detached: true,
  })
  await eventually('the hook runs', () => existsSync(join(root, 'started')))
  process.kill(-(push.pid ?? 0), 'SIGKILL')
  await eventually('the hook ends', () => existsSync(done))
  await eventually('nothing runs', async () => (await sidecar.metric('refstream_processes_running')) === 0)
})

t.test('a change of branch that changes the included configuration takes effect', async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'update-ref', 'refs/heads/two', 'refs/heads/main')
  writeFileSync(join(repository, 'private'), '[http]\n\tuploadpack = false\n')
  git(repository, 'config', 'includeIf.onbranch:two.path', 'private')
  const sidecar = await startSidecar(t, root)
  const status = async (): Promise<number> => (await ask(infoRefs(sidecar.url, 'r.git'))).status
  t.equal(await status(), 200)
  git(repository, 'symbolic-ref', 'HEAD', 'refs/heads/two')
  t.equal(await status(), 403)
})

t.test('concurrent requests share one listing in memory, however small the hot tier is', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 20_000)
  const sidecar = await startSidecar(t, root, { args: ['--hot-max-bytes', '0'] })
  const body = Buffer.concat([pktLine('command=ls-refs\n'), flushPacket])
  const headers = { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' }
  const storm = () =>
    Promise.all(
      Array.from({ length: 50 }, () =>
        ask(`${sidecar.url}/r.git/git-upload-pack`, { method: 'POST', headers, body }),
      ),
    )
  for (const answers of [await storm(), await storm()]) {
    t.equal(new Set(answers.map((answer) => answer.body.length)).size, 1)
  }
  const size = await sidecar.metric('refstream_listing_bytes')
  t.ok(size > 1_000_000 && size < 3_000_000, `${size} bytes: one listing`)
})
