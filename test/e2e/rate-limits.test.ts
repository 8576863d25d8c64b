import t from 'tap'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf, GrpcClient } from '../support/grpc-client.js'
import { ask, infoRefs } from '../support/http-client.js'
import { gitEnvironment, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** So slow that no token is given back while a test runs. */
const slowly = ['--client-rate-limit', '0.001', '--client-rate-burst', '3', '--access-log', 'errors']

t.test('a client that asks too often gets 429, and Git shows why', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'a.git')
  const sidecar = await startSidecar(t, root, { args: slowly })
  const clone = join(tempDir(t), 'clone')
  const git = (...args: string[]) => spawnSync('git', args, { encoding: 'utf8', env: gitEnvironment })
  t.equal(git('clone', '--quiet', `${sidecar.url}/a.git`, clone).status, 0, 'a clone is three requests')

  const { status, headers, body } = await ask(infoRefs(sidecar.url, 'a.git'))
  t.equal(status, 429)
  t.match(headers['retry-after'], /^\d+$/)
  t.match(body.toString(), /^refstream: this address has sent more than the 0.001 requests per second/)
  const refused = git('-C', clone, 'fetch')
  t.not(refused.status, 0)
  t.match(refused.stderr, /remote: refstream: this address has sent more than .*; try again later/)

  t.equal(await sidecar.metric('refstream_requests_total', { outcome: 'rate_limited' }), 2)
  t.equal(await sidecar.metric('refstream_rate_limited_total', { by: 'address' }), 2)
  t.equal(await sidecar.metric('refstream_rate_limit_clients'), 1)
  t.match(
    sidecar.log.filter((line) => line['refstream.outcome'] === 'rate_limited'),
    [{ 'http.response.status_code': 429 }, { 'http.response.status_code': 429 }],
  )
  for (let asked = 0; asked < 10; asked++)
    t.equal((await ask(`${sidecar.adminUrl}/healthz`)).status, 200, 'the admin address has no limit')
})

t.test('users behind one address are limited each, and proxies name addresses', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'a.git')
  const tokens = join(tempDir(t), 'tokens')
  const hash = (token: string): string => createHash('sha256').update(token).digest('hex')
  writeFileSync(tokens, `alice:${hash('a')}\nbob:${hash('b')}\n`)
  const rules = ['--auth-tokens', tokens, '--access', '**=read:anyone', '--trusted-proxies', '127.0.0.1']
  const { url } = await startSidecar(t, root, { args: [...slowly, ...rules] })
  const statuses = async (headers: Record<string, string>) => {
    const all: number[] = []
    for (let asked = 0; asked < 4; asked++) all.push((await ask(infoRefs(url, 'a.git'), { headers })).status)
    return all
  }
  const three = [200, 200, 200, 429]
  t.same(await statuses({ authorization: 'Bearer a' }), three)
  t.same(await statuses({ authorization: 'Bearer b' }), three)
  t.same(await statuses({}), three)
  t.same(await statuses({ 'x-forwarded-for': '2001:db8::1' }), three)
  t.same(await statuses({ 'x-forwarded-for': '2001:db8::2' }), [429, 429, 429, 429])
  t.same(await statuses({ 'x-forwarded-for': '2001:db8:1::1', authorization: 'Bearer wrong' }), [
    ...[401, 401, 401, 429],
  ])
})

t.test('calls of gRPC clients count as well', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'a.git')
  const { grpcTarget } = await startSidecar(t, root, { args: [...slowly, '--grpc', '127.0.0.1:0'] })
  const client = new GrpcClient(t, grpcTarget, 'refstream.v1.RefService')
  for (let call = 0; call < 3; call++) t.ok((await client.bytes('Advertise', { repository: 'a.git' })).length)
  t.equal(await codeOf(client.bytes('Advertise', { repository: 'a.git' })), 'RESOURCE_EXHAUSTED')
})
