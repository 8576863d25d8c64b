import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { once } from 'node:events'
import { eventually } from '../support/eventually.js'
import { codeOf, GrpcClient } from '../support/grpc-client.js'
import { makeRepository } from '../support/repositories.js'
import { sha256 } from '../support/sha256.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

t.test('changes of leases and refused calls over gRPC are in the audit trail', async (t) => {
  const root = tempDir(t)
  makeRepository(root, 'r.git')
  const [admins, users] = [join(tempDir(t), 'admins'), join(tempDir(t), 'users')]
  writeFileSync(admins, `deployer:${sha256('S3CRET')}\n`)
  writeFileSync(users, `alice:${sha256('S3CRET-2')}\n`)
  const sidecar = await startSidecar(t, root, {
    args: [
      '--grpc',
      '127.0.0.1:0',
      '--admin-token-file',
      admins,
      '--auth-tokens',
      users,
      '--access-log',
      'all',
    ],
  })
  const client = (name: string, token?: string) => {
    const metadata = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return new GrpcClient(t, sidecar.grpcTarget, `refstream.v1.${name}`, {}, { metadata })
  }
  const leases = client('LeaseService', 'S3CRET')
  const repository = 'r.git'
  const { id } = await leases.unary('Acquire', { repository, ttl: { seconds: 60 } })
  await leases.unary('Renew', { id })
  await leases.unary('Release', { id })
  t.equal(await codeOf(leases.unary('Release', { id })), 'NOT_FOUND')
  await client('CacheService', 'S3CRET').unary('Invalidate', { repository })
  const held = leases.stream('Hold', { repository })
  const [lease] = (await once(held, 'data')) as [{ id: string }]
  held.on('error', () => {})
  held.cancel()
  const trail = () => sidecar.log.filter((line) => line['event.name'] !== undefined)
  await eventually('the end of the held lease is logged', () => trail().length === 7)
  const digests = [...new Set(trail().map((line) => line['refstream.lease']))]
  t.equal(digests.length, 3, 'two leases, and a change without one')
  const common = {
    'rpc.grpc.status_code': 0,
    'client.address': '127.0.0.1',
    'user.name': 'deployer',
    'refstream.request.id': /^[\da-f-]{36}$/,
  }
  const [first, none, second] = digests
  t.equal(none, undefined)
  const one = { ...common, 'refstream.lease': first }
  const two = { ...common, 'refstream.lease': second, 'refstream.repository': repository }
  const path = (method: string) => `/refstream.v1.LeaseService/${method}`
  t.match(trail(), [
    {
      ...one,
      'event.name': 'refstream.lease.open',
      'refstream.repository': repository,
      'rpc.method': path('Acquire'),
    },
    {
      ...one,
      'event.name': 'refstream.lease.renew',
      'refstream.repository': repository,
      'rpc.method': path('Renew'),
    },
    { ...one, 'event.name': 'refstream.lease.end', 'rpc.method': path('Release') },
    { ...one, 'event.name': 'refstream.lease.end', 'rpc.grpc.status_code': 5 },
    { ...common, 'event.name': 'refstream.invalidate', 'refstream.repository': repository },
    { ...two, 'event.name': 'refstream.lease.open', 'rpc.method': path('Hold') },
    { ...two, 'event.name': 'refstream.lease.end', 'rpc.method': path('Hold'), 'rpc.grpc.status_code': 1 },
  ])

  const before = trail().length
  const stranger = client('LeaseService', 'S3CRET-not')
  t.equal(await codeOf(stranger.unary('Acquire', { repository, ttl: { seconds: 60 } })), 'UNAUTHENTICATED')
  t.equal(await codeOf(stranger.all('Hold', { repository })), 'UNAUTHENTICATED')
  t.equal(await codeOf(client('CacheService').unary('Stat', { repository })), 'UNAUTHENTICATED')
  t.equal(
    await codeOf(client('RefService', 'S3CRET-not').bytes('Advertise', { repository })),
    'UNAUTHENTICATED',
  )
  await client('RefService', 'S3CRET-2').bytes('Advertise', { repository })
  await eventually('all are logged', () => trail().length === before + 6)
  const refused = { 'event.name': 'refstream.login.refused', 'rpc.grpc.status_code': 16 }
  t.match(trail().slice(before), [
    {
      ...refused,
      'rpc.method': path('Acquire'),
      'refstream.repository': repository,
      'client.address': '127.0.0.1',
    },
    { ...refused, 'rpc.method': path('Hold') },
    { ...refused, 'rpc.method': '/refstream.v1.CacheService/Stat' },
    { ...refused, 'rpc.method': '/refstream.v1.RefService/Advertise' },
    { 'event.name': 'refstream.request', 'rpc.grpc.status_code': 16 },
    { 'event.name': 'refstream.request', 'rpc.grpc.status_code': 0, 'user.name': 'alice' },
  ])
  for (const line of trail().slice(before, before + 5)) t.notOk('user.name' in line)
  const text = JSON.stringify(sidecar.log)
  for (const secret of ['S3CRET', String(id), lease.id]) t.notMatch(text, secret)
})
