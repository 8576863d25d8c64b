import t from 'tap'
import { once } from 'node:events'
import { copyFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { Authority } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { installHook } from '../../src/git/hook/hook.js'
import { hookOf, run } from '../support/hooked.js'
import { makeGitWrapper, plans } from '../support/git-wrapper.js'
import { ask } from '../support/http-client.js'
import { gitEnvironment, makeRepository } from '../support/repositories.js'
import { sha256 } from '../support/sha256.js'
import { program, startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { readFileSync } from 'node:fs'

t.test('Git clients are served over TLS with client certificates', async (t) => {
  const root = realpathSync(tempDir(t))
  const work = tempDir(t)
  makeRepository(root, 'r.git')
  const authority = new Authority(t)
  const server = authority.issue({ san: 'DNS:localhost,IP:127.0.0.1' })
  const names = join(work, 'names')
  writeFileSync(names, 'alice\n')
  const files = ['--tls-cert', server.cert, '--tls-key', server.key]
  const clients = ['--tls-client-ca', authority.cert, '--tls-client-names', names]
  const sidecar = await startSidecar(t, root, {
    args: ['--listen', 'tls:127.0.0.1:0', ...files, ...clients],
  })
  t.match(sidecar.url, /^https:/)
  const alice = authority.issue({ name: 'alice' })
  const clone = (to: string, as?: { cert: string; key: string }) => {
    const own = as ? ['-c', `http.sslCert=${as.cert}`, '-c', `http.sslKey=${as.key}`] : []
    const options = { cwd: work, environment: { ...gitEnvironment, GIT_SSL_CAINFO: authority.cert } }
    return run(options, 'git', ...own, 'clone', '--quiet', `${sidecar.url}/r.git`, to)
  }
  t.same(await clone('one', alice), { status: 0, output: '' })
  t.not((await clone('two')).status, 0, 'without a certificate')
  t.not((await clone('three', authority.issue({ name: 'mallory' }))).status, 0, 'with another name')

  writeFileSync(names, 'bob\n')
  process.kill(sidecar.pid, 'SIGHUP')
  await eventually('the list is read again', () => sidecar.log.some(({ what }) => what === 'tls'))
  t.not((await clone('four', alice)).status, 0, 'a client that was removed from the list')
  copyFileSync(alice.key, server.key)
  process.kill(sidecar.pid, 'SIGHUP')
  await eventually('the new pair is refused', () =>
    sidecar.log.some(({ level, what }) => what === 'tls' && level === 50),
  )
  t.equal((await clone('five', authority.issue({ name: 'bob' }))).status, 0, 'the old pair stays in force')
  t.equal(await sidecar.metric('refstream_reloads_total', { what: 'tls', result: 'ok' }), 1)
  t.equal(await sidecar.stop(), 0)
})

t.test('the admin API works over TLS with tokens', async (t) => {
  const root = realpathSync(tempDir(t))
  const work = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const authority = new Authority(t)
  const { cert, key } = authority.issue({ san: 'DNS:localhost,IP:127.0.0.1' })
  const tokens = join(work, 'tokens')
  writeFileSync(tokens, `ops:${sha256('s3cret')}\n`)
  const socket = join(work, 'admin.sock')
  const sidecar = await startSidecar(t, root, {
    args: [
      ...['--admin', `unix:${socket},tls:127.0.0.1:0`, '--log-level', 'debug'],
      ...['--admin-token-file', tokens, '--tls-cert', cert, '--tls-key', key],
    ],
  })
  const lease = (token: string | undefined) => {
    const environment = { ...(token && { REFSTREAM_ADMIN_TOKEN: token }) }
    const args = ['lease', 'run', '--admin', `unix:${socket}`, '--repository', 'r.git', 'true']
    return run({ cwd: work, environment }, process.execPath, program, ...args)
  }
  t.same(await lease('s3cret'), { status: 0, output: '' })
  t.match((await lease('wrong')).output, /a token of admin-token-file is required/)
  t.match((await lease(undefined)).output, /a token of admin-token-file is required/)

  const tokenFile = join(work, 'token')
  writeFileSync(tokenFile, 's3cret\n')
  await installHook(repository, `unix:${socket}`, tokenFile)
  const hook = hookOf(repository)
  writeFileSync(hook, readFileSync(hook, 'utf8').replaceAll('0.25', '30'))
  const logged = JSON.stringify(sidecar.log)
  t.notMatch(logged, /s3cret/)
  t.equal((await run({ cwd: repository }, 'git', 'branch', 'x')).status, 0)
  const leases = async (): Promise<string> => {
    const asked = await run(
      { cwd: work, environment: {} },
      'curl',
      '-sS',
      '--unix-socket',
      socket,
      ...[...['-H', 'Authorization: Bearer s3cret', 'http://x/metrics']],
    )
    return /refstream_leases_ended_total\{end="changed"\} (\d+)/.exec(asked.output)?.[1] ?? asked.output
  }
  t.equal(await leases(), '2', 'one lease of the command, one of the hook')
})

t.test('the hook sends its token over TCP', async (t) => {
  const root = realpathSync(tempDir(t))
  const work = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const [tokens, tokenFile] = [join(work, 'tokens'), join(work, 'token')]
  writeFileSync(tokens, `hook:${sha256('t%s\\n')}\n`)
  writeFileSync(tokenFile, 't%s\\n\n')
  const sidecar = await startSidecar(t, root, { args: ['--admin-token-file', tokens] })
  const metrics = (headers: Record<string, string>) => ask(`${sidecar.adminUrl}/metrics`, { headers })
  t.equal((await metrics({})).status, 401)
  t.equal((await metrics({ Authorization: 'Basic aG9vazp0JXM=' })).status, 401)
  t.equal((await ask(`${sidecar.adminUrl}/healthz`)).status, 200)
  t.equal(
    (await ask(`${sidecar.adminUrl}/v1/leases`)).headers['www-authenticate'],
    'Bearer realm="refstream admin"',
  )
  for (const path of [
    '/v1/webhooks/gitea',
    '//v1/webhooks/gitea',
    '/v1/webhooks/../leases',
    '/openapi.json',
  ]) {
    t.not((await ask(sidecar.adminUrl + path)).status, 200, path)
  }
  await installHook(repository, sidecar.adminUrl, tokenFile)
  const hook = hookOf(repository)
  writeFileSync(hook, readFileSync(hook, 'utf8').replaceAll('0.25', '30'))
  t.equal((await run({ cwd: repository }, 'git', 'branch', 'x')).status, 0)
  const { body } = await metrics({ Authorization: 'Bearer t%s\\n' })
  t.match(body.toString(), /refstream_leases_ended_total\{end="changed"\} 1/)
})

t.test('an answer over TLS that breaks off is an error for a client of HTTP/1.0', async (t) => {
  const root = realpathSync(tempDir(t))
  makeRepository(root, 'r.git')
  const authority = new Authority(t)
  const { cert, key } = authority.issue({ san: 'IP:127.0.0.1' })
  const wrapper = makeGitWrapper(t)
  const args = ['--export-all', '--git', wrapper.path, '--listen', 'tls:127.0.0.1:0']
  const sidecar = await startSidecar(t, root, { args: [...args, '--tls-cert', cert, '--tls-key', key] })
  // Git begins its answer, and fails before its error message is whole.
  wrapper.plan(plans.dieAfter(200), 'http-backend')
  const body = `0032want ${'1'.repeat(40)}\n00000009done\n`
  const type = 'Content-Type: application/x-git-upload-pack-request'
  const socket = connectTls({ port: Number(new URL(sidecar.url).port), ca: readFileSync(authority.cert) })
  const ended = once(socket, 'end')
  socket.on('data', () => {})
  socket.write(
    `POST /r.git/git-upload-pack HTTP/1.0\r\n${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  await t.rejects(ended, { code: 'ECONNRESET' }, 'it cannot be taken for a whole answer')
  t.equal(await sidecar.metric('refstream_requests_total', { kind: 'upload-pack' }), 1)
  t.equal(await sidecar.stop(), 0, 'the sidecar goes on')
})
