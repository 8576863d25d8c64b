import t from 'tap'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { runCommand } from '../support/command.js'
import { eventually } from '../support/eventually.js'
import { freePorts } from '../support/free-ports.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { gitIn } from '../support/hooked.js'
import { addPackedBranches, git, gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar, type SpawnedSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { outputOf, serverPath, skipReason } from '../support/upstreams/programs.js'
import { startProcess } from '../support/upstreams/server-process.js'

const target = '/r.git/info/refs?service=git-upload-pack'

async function ask(socketPath: string, headers: Record<string, string> = {}): Promise<number> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath, path: target, headers, agent: false }, resolve).on('error', reject).end()
  })
  await text(response)
  return response.statusCode ?? 0
}

const lineOf = async (
  sidecar: SpawnedSidecar,
  event: string,
  count = 1,
): Promise<Record<string, unknown>> => {
  const found = () => sidecar.log.filter((line) => line['event.name'] === event)
  await eventually(`${count} lines of ${event}`, () => found().length >= count)
  return found()[count - 1]!
}

for (const workers of [1, 2]) {
  t.test(`a socket file from its start to its end; ${workers} workers`, async (t) => {
    const root = tempDir(t)
    makeRepository(root, 'r.git')
    const [path, admin] = [join(tempDir(t), 'git.sock'), join(tempDir(t), 'admin.sock')]
    const start = (...args: string[]): Promise<SpawnedSidecar> =>
      startSidecar(t, root, {
        args: [
          ...['--listen', `unix:${path}`, '--admin', `unix:${admin}`, '--workers', String(workers)],
          ...['--access-log', 'all', ...args],
        ],
      })
    const first = await start('--trusted-proxies', 'unix')
    t.equal(first.url, `unix:${path}`)
    t.equal(statSync(path).mode & 0o777, 0o660)
    t.equal(await ask(path, { 'X-Forwarded-For': '192.0.2.1, 198.51.100.7' }), 200)
    const line = await lineOf(first, 'refstream.request')
    t.match(line, { 'client.address': '198.51.100.7', 'http.response.status_code': 200 })
    t.notOk('network.peer.address' in line)
    t.match(await runCommand(['ready', '--admin', `unix:${admin}`]), { status: 0, stderr: '' })
    const settings = ['--root', root, '--admin', `unix:${admin}`, '--listen', `unix:${path}`]
    t.match((await runCommand(['doctor', ...settings])).stdout, `sidecar: ready at unix:${admin}`)

    await t.rejects(start(), /ended before it listened: 2/, 'a second process')
    t.equal(await ask(path), 200, 'the first is still there')
    await first.stop('SIGKILL')
    t.ok(existsSync(path), 'left by kill -9')
    const second = await start('--listen-mode', '0666')
    t.equal(statSync(path).mode & 0o777, 0o666)
    t.equal(statSync(admin).mode & 0o777, 0o660)
    t.equal(await ask(path, { 'X-Forwarded-For': '192.0.2.1' }), 200)
    const plain = await lineOf(second, 'refstream.request')
    t.notOk('client.address' in plain, 'a peer that is not trusted cannot name a client')
    t.equal(await second.stop(), 0)
    t.notOk(existsSync(path), 'removed at the end')
    t.notOk(existsSync(admin))
  })
}

t.test('a file that is no socket is refused, and stays', async (t) => {
  const root = tempDir(t)
  const path = join(tempDir(t), 'file')
  writeFileSync(path, 'text')
  const { status, stderr } = await runCommand(['serve', '--root', root, '--listen', `unix:${path}`])
  t.equal(status, 2)
  t.match(stderr, `--listen: cannot listen on unix:${path}: a file that is not a socket is there`)
  t.equal(statSync(path).size, 4)
  const config = join(tempDir(t), 'refstream.toml')
  writeFileSync(config, `listen = "unix:${path}"\n`)
  t.match(await runCommand(['config', 'check', config]), { status: 2, stderr: /a file that is not a socket/ })
})

t.test('an answer to HTTP/1.0 that breaks off ends, and refstream goes on', async (t) => {
  const root = tempDir(t)
  addPackedBranches(makeRepository(root, 'r.git'), 5000)
  const wrapper = makeGitWrapper(t)
  const path = join(tempDir(t), 'git.sock')
  const sidecar = await startSidecar(t, root, { args: ['--listen', `unix:${path}`, '--git', wrapper.path] })
  wrapper.plan(plans.dieAfter(100_000))
  const socket = createConnection(path)
  socket.write(`GET ${target} HTTP/1.0\r\n\r\n`)
  const answer = await text(socket)
  t.match(answer, /^HTTP\/1\.1 200 /)
  t.notOk(answer.endsWith('0000'), 'Git sees that the flush packet is missing')
  t.equal(await sidecar.stop(), 0, 'it was not the end of the process')
})

const nginx = skipReason(
  'nginx',
  outputOf('nginx', '-v') === undefined ? 'nginx is not installed' : undefined,
)
t.test('Git clones and pushes through nginx and a socket', { skip: nginx }, async (t) => {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  git(repository, 'config', 'http.receivepack', 'true')
  const place = tempDir(t)
  const path = join(place, 'git.sock')
  const sidecar = await startSidecar(t, root, {
    args: ['--listen', `unix:${path}`, '--trusted-proxies', 'unix', '--access-log', 'all'],
  })
  const [port = 0] = await freePorts(1)
  writeFileSync(
    join(place, 'nginx.conf'),
    `
daemon off;
worker_processes 1;
pid ${place}/nginx.pid;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 64; }
http {
  access_log off;
  ${['client_body', 'fastcgi', 'proxy', 'scgi', 'uwsgi'].map((name) => `${name}_temp_path ${place}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://unix:${path};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Git-Protocol $http_git_protocol;
    }
  }
}
`,
  )
  const environment = { ...gitEnvironment, PATH: serverPath }
  const server = startProcess(t, 'nginx', ['-p', place, '-c', 'nginx.conf', '-e', 'stderr'], { environment })
  await server.listensOn({ port })
  const work = tempDir(t)
  await gitIn(work, 'clone', '--quiet', `http://127.0.0.1:${port}/r.git`, 'clone')
  await gitIn(join(work, 'clone'), 'commit', '--quiet', '--allow-empty', '-m', 'two')
  await gitIn(join(work, 'clone'), 'push', '--quiet', 'origin', 'HEAD:refs/heads/main')
  t.equal(git(repository, 'rev-parse', 'main'), git(join(work, 'clone'), 'rev-parse', 'HEAD'))
  t.match(await lineOf(sidecar, 'refstream.push'), { 'client.address': '127.0.0.1' })
})
