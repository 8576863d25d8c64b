import t from 'tap'
import { execFile, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { askAdmin } from '../../src/cli/admin/client.js'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Runs `refstream …` until it exits. */
function refstream(...args: string[]): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve) => {
    const options = { env: cleanEnvironment, timeout: 20_000 }
    const child = execFile(process.execPath, [program, ...args], options, (_error, _stdout, stderr) => {
      resolve({ code: child.exitCode, stderr })
    })
  })
}

t.test('the admin server listens on TCP and on a Unix socket, and again after kill -9', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const path = join(tempDir(t), 'admin.sock')
  const cacheDir = join(tempDir(t), 'cache')
  const args = ['--admin', `127.0.0.1:0,unix:${path}`]
  const first = await startSidecar(t, root, { cacheDir, args })
  for (const address of [first.adminUrl, `unix:${path}`]) {
    t.match(await askAdmin(address, 'GET', '/readyz'), { status: 200 }, address)
    const lease = { repository: 'r.git', ttlSeconds: 600 }
    t.match(await askAdmin(address, 'POST', '/v1/leases', lease), { status: 201 })
  }
  const inUse = await refstream('serve', '--root', root, '--listen', '127.0.0.1:0', '--admin', `unix:${path}`)
  t.equal(inUse.code, 2)
  t.match(inUse.stderr, /^refstream: --admin: cannot listen on unix:\/.*: another process listens there\n$/)
  t.match(
    await askAdmin(`unix:${path}`, 'GET', '/healthz'),
    { status: 200 },
    'the first sidecar still has the socket',
  )

  await first.stop('SIGKILL')
  t.ok(existsSync(path), 'the killed sidecar has left its socket')
  const second = await startSidecar(t, root, { cacheDir, args })
  const { body } = await askAdmin(`unix:${path}`, 'GET', '/v1/leases')
  t.equal((body as { leases: unknown[] }).leases.length, 2)
  t.equal(await second.stop(), 0)
  t.notOk(existsSync(path))
})

t.test('a signed webhook forces one new fill', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'owner/r.git')
  const secretFile = join(tempDir(t), 'secret')
  writeFileSync(secretFile, 'geheim\nmore\n')
  // No entry grows too old meanwhile, even on a slow machine.
  const aging = ['--unleased-max-age-seconds', '3600']
  const args = ['--webhook-secret-file', secretFile, '--freshness', 'lease', ...aging]
  const sidecar = await startSidecar(t, root, { args })
  const body = JSON.stringify({ ref: 'refs/heads/main', repository: { full_name: 'owner/r' } })
  const send = async (key: string): Promise<number> => {
    const signature = createHmac('sha256', key).update(body).digest('hex')
    const headers = { 'X-Hub-Signature-256': `sha256=${signature}`, 'X-GitHub-Event': 'push' }
    const url = `${sidecar.adminUrl}/v1/webhooks/github`
    return (await ask(url, { method: 'POST', headers, body })).status
  }
  const outcome = (name: string) => sidecar.metric('refstream_requests_total', { outcome: name })
  const hit = async (): Promise<void> => {
    const before = await outcome('hit')
    await eventually('a hit', async () => {
      await ask(infoRefs(sidecar.url, 'owner/r.git'))
      return (await outcome('hit')) > before
    })
  }
  await hit()
  t.equal(await send('falsch'), 403)
  const filled = await outcome('filled')
  await hit()
  t.equal(await outcome('filled'), filled, 'no entry was invalidated')
  t.equal(await send('geheim'), 204)
  await ask(infoRefs(sidecar.url, 'owner/r.git'))
  await eventually('the entry is filled again', async () => (await outcome('filled')) === filled + 1)
  t.equal(await sidecar.metric('refstream_invalidations_total', { source: 'github' }), 1)

  const broken = (file: string) => refstream('serve', '--root', root, '--webhook-secret-file', file)
  writeFileSync(secretFile, '\nsecond line\n')
  t.match(await broken(secretFile), { code: 2, stderr: /^refstream: --webhook-secret-file: .*empty.*\n$/ })
  t.match(await broken('/nothing'), { code: 2, stderr: /^refstream: --webhook-secret-file: .*ENOENT.*\n$/ })
})

t.test('a body without a type or too long is refused; the OpenAPI document is served', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  const url = `${sidecar.adminUrl}/v1/leases`
  const body = '{"repository":"r.git","ttlSeconds":60}'
  t.equal((await ask(url, { method: 'POST', body })).status, 415)
  const headers = { 'Content-Type': 'application/json' }
  t.equal((await ask(url, { method: 'POST', body: ' '.repeat(70_000), headers })).status, 413)
  t.equal((await ask(url, { method: 'POST', body, headers })).status, 201)
  const document = await askAdmin(sidecar.adminUrl, 'GET', '/openapi.json')
  t.match(document, { status: 200, body: { openapi: '3.1.0', paths: { '/v1/leases/{id}': {} } } })
  t.equal(
    sidecar.log.filter(({ level }) => Number(level) >= 40).length,
    0,
    'nothing of it is logged as a warning',
  )
})

t.test('lease run keeps one lease over a restart of the sidecar, and ends it', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const cacheDir = join(tempDir(t), 'cache')
  const directory = tempDir(t)
  const path = join(directory, 'admin.sock')
  const [running, go] = [join(directory, 'running'), join(directory, 'go')]
  const options = { cacheDir, args: ['--admin', `127.0.0.1:0,unix:${path}`] }
  const first = await startSidecar(t, root, options)
  const script = `: > ${running}; while [ ! -e ${go} ]; do sleep 0.01; done; exit 6`
  const lease = ['lease', 'run', '--repository', join(root, 'r.git'), '--ttl-seconds', '3']
  const child = spawn(process.execPath, [program, ...lease, '--', 'sh', '-c', script], {
    env: { ...cleanEnvironment, REFSTREAM_ADMIN: `unix:${path},127.0.0.1:1` },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  child.stderr.resume()
  const ended = once(child, 'close') as Promise<[number | null]>
  await eventually('the command runs', () => existsSync(running))
  const leases = async (): Promise<Record<string, unknown>[]> =>
    ((await askAdmin(`unix:${path}`, 'GET', '/v1/leases')).body as { leases: Record<string, unknown>[] })
      .leases
  const [before] = await leases()
  t.match(before, { repository: 'r.git', ttlSeconds: 3 })

  await first.stop('SIGKILL')
  const second = await startSidecar(t, root, options)
  await eventually('the lease is renewed at the new sidecar', async () => {
    const [lease] = await leases()
    return lease !== undefined && lease['expiresAt'] !== before?.['expiresAt']
  })
  writeFileSync(go, '')
  t.equal((await ended)[0], 6)
  await eventually('no lease is left', async () => (await leases()).length === 0)
  t.same(readdirSync(join(cacheDir, 'instance-0/leases')), [])
  t.equal(await second.metric('refstream_leases_open'), 0)
})

t.test('a lease journal that cannot be written is logged once, and leases work', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const cacheDir = join(tempDir(t), 'cache')
  mkdirSync(join(cacheDir, 'instance-0'), { recursive: true })
  writeFileSync(join(cacheDir, 'instance-0/leases'), '')
  const sidecar = await startSidecar(t, root, { cacheDir })
  for (let count = 0; count < 3; count++) {
    const opened = await askAdmin(sidecar.adminUrl, 'POST', '/v1/leases', {
      repository: 'r.git',
      ttlSeconds: 60,
    })
    const { id } = opened.body as { id: string }
    t.equal((await askAdmin(sidecar.adminUrl, 'DELETE', `/v1/leases/${id}`)).status, 204)
  }
  const lines = sidecar.log.filter(({ msg }) => /leases cannot be written to disk/.test(String(msg)))
  t.match(lines, [{ level: 50 }])
  t.equal(lines.length, 1)
})
