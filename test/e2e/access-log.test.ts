import t from 'tap'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { ask, infoRefs } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('a request through a trusted proxy has one line, without its credentials', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const tokens = join(tempDir(t), 'tokens')
  writeFileSync(tokens, `alice:${createHash('sha256').update('S3CRET').digest('hex')}\n`)
  const sidecar = await startSidecar(t, root, {
    args: [
      ...['--access-log', 'all', '--log-time', 'iso', '--log-level-names', '--auth-tokens', tokens],
      ...['--trusted-proxies', '127.0.0.0/8'],
    ],
  })
  const get = (password: string) =>
    ask(`${infoRefs(sidecar.url, 'r.git')}&private_token=S3CRET`, {
      headers: {
        authorization: `Basic ${Buffer.from(`S3CRET:${password}`).toString('base64')}`,
        'x-forwarded-for': '192.0.2.1, 198.51.100.7',
        'user-agent': 'git/2.55',
      },
    })
  t.equal((await get('S3CRET')).status, 200)
  t.equal((await get('S3CRET-not')).status, 401)
  const line = (event: string, status: number) =>
    sidecar.log.find((each) => each['event.name'] === event && each['http.response.status_code'] === status)
  await eventually('both are logged', () => line('refstream.request', 401) !== undefined)

  t.match(line('refstream.request', 200), {
    level: 'info',
    time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
    'http.request.method': 'GET',
    'url.path': '/r.git/info/refs',
    'client.address': '198.51.100.7',
    'network.peer.address': '127.0.0.1',
    'user_agent.original': 'git/2.55',
    'user.name': 'alice',
    'refstream.repository': 'r.git',
    'refstream.outcome': 'filled',
    'refstream.request.id': /^[\da-f-]{36}$/,
  })
  const refused = line('refstream.login.refused', 401)
  t.match(refused, { 'client.address': '198.51.100.7', 'url.path': '/r.git/info/refs' })
  t.equal(
    refused?.['refstream.request.id'],
    line('refstream.request', 401)?.['refstream.request.id'],
    'both lines of a request name it alike',
  )
  t.notMatch(JSON.stringify(sidecar.log), 'S3CRET')
})

t.test('changes of leases, refused logins and refused webhooks are in the audit trail', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const tokens = join(tempDir(t), 'tokens')
  writeFileSync(tokens, `deployer:${createHash('sha256').update('S3CRET').digest('hex')}\n`)
  const sidecar = await startSidecar(t, root, { args: ['--admin-token-file', tokens] })
  const send = (method: string, path: string, body?: object, token = 'S3CRET') =>
    ask(`${sidecar.adminUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
  const opened = await send('POST', '/v1/leases', { repository: 'r.git', ttlSeconds: 60 })
  const { id } = JSON.parse(opened.body.toString()) as { id: string }
  await send('DELETE', `/v1/leases/${id}`)
  await send('POST', '/v1/invalidate', { repository: 'r.git' })
  await send('GET', '/v1/leases', undefined, 'S3CRET-not')
  await send('POST', '/v1/webhooks/gitea?token=S3CRET', {})
  const trail = () => sidecar.log.filter((line) => line['event.name'] !== undefined)
  await eventually('all are logged', () => trail().length === 5)
  const common = { 'client.address': '127.0.0.1', 'user.name': 'deployer' }
  const at = { ...common, 'refstream.lease': trail()[0]?.['refstream.lease'] }
  t.match(trail(), [
    { ...at, 'event.name': 'refstream.lease.open', 'refstream.repository': 'r.git' },
    { ...at, 'event.name': 'refstream.lease.end', 'http.response.status_code': 204 },
    { ...common, 'event.name': 'refstream.invalidate', 'refstream.repository': 'r.git' },
    { 'event.name': 'refstream.login.refused', 'http.response.status_code': 401 },
    { 'event.name': 'refstream.webhook.refused', 'http.response.status_code': 403 },
  ])
  t.match(trail()[0]?.['refstream.lease'], /^[\da-f]{16}$/)
  t.notMatch(JSON.stringify(sidecar.log), id)
  t.notMatch(JSON.stringify(sidecar.log), 'S3CRET')
})
