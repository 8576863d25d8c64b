import t from 'tap'
import { once } from 'node:events'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask, connect, infoRefs } from '../support/http-client.js'
import { addPackedBranches, git, initBare, makeCommit, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const target = '/r.git/info/refs?service=git-upload-pack'

t.test('a client that stalls a paused fill does not hold up those who ask after a change', async (t) => {
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

t.test('If-None-Match on a large entry that is not there yet', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 100_000)
  const sidecar = await startSidecar(t, root, { args: ['--max-lead-bytes', '1MiB'] })
  const headers = { 'If-None-Match': '"x"' }
  const { status, headers: answered } = await ask(infoRefs(sidecar.url, 'r.git'), { headers })
  t.equal(status, 200)
  t.match(answered.etag, /^"[0-9a-f]{64}"$/)
})

t.test('a broken answer is an error for clients of HTTP/1.0 too', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 5000)
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  wrapper.plan(plans.dieAfter(100_000))
  const socket = connect(sidecar.url)
  socket.write(`GET ${target} HTTP/1.0\r\n\r\n`)
  socket.resume()
  const [error] = (await once(socket, 'close').catch((reason: unknown) => [reason])) as [unknown]
  t.match(error, { code: 'ECONNRESET' })
})

t.test('pipelined requests are answered in order, and leave with their connection', async (t) => {
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
  await eventually('nobody follows', async () => (await sidecar.metric('refstream_followers')) === 0)
  const asked = (): Promise<number> => sidecar.metric('refstream_requests_total')
  await eventually('all are counted', async () => (await asked()) === 20)
})

t.test('a storm that needs a word from the configuration asks Git for it once', async (t) => {
  const root = tempDir(t)
  const repository = initBare(root, 'r.git', { objectFormat: 'sha256' })
  git(repository, 'update-ref', 'refs/heads/main', makeCommit(repository, 'one'))
  git(repository, 'config', 'http.uploadpack', 'true')
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, root, { args: ['--git', wrapper.path] })
  await eventually('Git has told about itself', () => wrapper.count('config') === 1)
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(infoRefs(sidecar.url, 'r.git'))))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(wrapper.count('upload-pack'), 1)
  t.ok(wrapper.count('config') <= 1 + 2 * 2, 'two words, for the first look or two')
})

t.test('garbage behind a request does not get into its answer', async (t) => {
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
  t.notOk(body.join('\r\n\r\n').slice(0, length).includes('HTTP/1.1 400'), 'at most behind it')
})
