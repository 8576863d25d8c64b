import t from 'tap'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs, open } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('the admin server', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const sidecar = await startSidecar(t, root)
  const admin = (path: string, method = 'GET') => ask(sidecar.adminUrl + path, { method })

  t.equal((await admin('/healthz')).body.toString(), 'ok\n')
  t.equal((await admin('/readyz')).body.toString(), 'ready\n')
  t.equal((await admin('/nothing')).status, 404)
  t.equal((await admin('/metrics', 'POST')).status, 405)

  await ask(infoRefs(sidecar.url, 'r.git'))
  // An answer ends a little before its entry is committed; until then, others join it.
  await eventually('committed', async () => (await sidecar.metric('refstream_store_entries')) === 1)
  await ask(infoRefs(sidecar.url, 'r.git'))
  await ask(infoRefs(sidecar.url, 'r.git', 'git-receive-pack'))
  await ask(infoRefs(sidecar.url, 'nothing.git'))
  const { headers, body } = await admin('/metrics')
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/)
  const text = body.toString()
  const requests = (labels: string): string => `refstream_requests_total{${labels}} 1`
  for (const line of [
    requests('transport="http",kind="advertisement",protocol="v0",outcome="filled"'),
    requests('transport="http",kind="advertisement",protocol="v0",outcome="hit"'),
    requests('transport="http",kind="advertisement",protocol="v0",outcome="not_found"'),
    'refstream_fills_total{kind="advertisement",result="committed"} 1',
    'refstream_fill_seconds_count{kind="advertisement"} 1',
    'refstream_first_byte_seconds_count{transport="http",kind="advertisement"} 2',
    'refstream_processes_started_total{command="upload-pack"} 1',
    'refstream_loser_writes_total 0',
    'refstream_loser_bytes_total 0',
    'refstream_store_entries 1',
    'refstream_followers 0',
    'refstream_processes_running 0',
  ]) {
    t.ok(text.split('\n').includes(line), line)
  }
  t.notMatch(text, /r\.git/, 'no repository in a label: their number has no bound')
})

t.test('requests of web pages are rejected, whatever host they name', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const { adminUrl } = await startSidecar(t, root)
  const body = JSON.stringify({ repository: 'r.git', ttlSeconds: 60 })
  const open = (headers: Record<string, string>) =>
    ask(`${adminUrl}/v1/leases`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body,
    })
  t.equal((await open({})).status, 201)
  for (const Origin of ['http://rebound.example:8081', adminUrl, 'null'])
    t.equal((await open({ Origin })).status, 403, Origin)
  t.match((await ask(`${adminUrl}/v1/leases`)).body.toString(), /^[^{]*\{[^{]*\{[^{]*$/, 'one lease is open')
})

t.test('DNS rebinding: a request that names another host is rejected', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const path = join(tempDir(t), 'admin.sock')
  const { adminUrl } = await startSidecar(t, root, {
    args: ['--admin', `127.0.0.1:0,unix:${path}`, '--admin-hosts', 'metrics.example.com'],
  })
  const port = new URL(adminUrl).port
  const paths = ['/metrics', '/healthz', '/readyz', '/openapi.json', '/v1/leases', '/nothing']
  for (const each of paths) {
    const status = async (Host: string): Promise<number> =>
      (await ask(adminUrl + each, { headers: { Host } })).status
    t.equal(await status(`rebound.example:${port}`), 403, each)
    const expected = each === '/nothing' ? 404 : 200
    for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, 'metrics.example.com'])
      t.equal(await status(host), expected, `${each} ${host}`)
  }
  const { body, headers } = await ask(`${adminUrl}/metrics`)
  t.match(body.toString(), `refstream_admin_refused_total{reason="host"} ${paths.length}\n`)
  t.match(headers['content-type'], /^text\/plain/)
  const response = await open('http://rebound.example/metrics', { socketPath: path })
  t.equal(response.resume().statusCode, 200, 'no browser comes by a Unix socket')
})
