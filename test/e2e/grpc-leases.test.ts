import t from 'tap'
import { once } from 'node:events'
import { join } from 'node:path'
import { status, type ServiceError } from '@grpc/grpc-js'
import { git, makeRepository } from '../support/repositories.js'
import { codeOf, errorOf, GrpcClient, type Message } from '../support/grpc-client.js'
import { ask } from '../support/http-client.js'
import { eventually } from '../support/eventually.js'
import { startSidecar, type SidecarOptions } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

type Test = Parameters<typeof tempDir>[0]

async function setUp(t: Test, { args = [], ...options }: SidecarOptions = {}) {
  const root = tempDir(t)
  const repository = makeRepository(root, 'r.git')
  const cacheDir = options.cacheDir ?? join(tempDir(t), 'cache')
  const start = async () => {
    const sidecar = await startSidecar(t, root, { cacheDir, args: ['--grpc', '127.0.0.1:0', ...args] })
    const client = (name: string) => new GrpcClient(t, sidecar.grpcTarget, `refstream.v1.${name}`)
    return {
      sidecar,
      leases: client('LeaseService'),
      cache: client('CacheService'),
      refs: client('RefService'),
    }
  }
  return { root, repository, start, ...(await start()) }
}

/** Leases as the admin server lists them. */
async function listed(adminUrl: string): Promise<Message[]> {
  const { body } = await ask(`${adminUrl}/v1/leases`)
  return (JSON.parse(body.toString()) as { leases: Message[] }).leases
}

t.test('a lease is acquired, renewed and released', async (t) => {
  const { root, sidecar, leases } = await setUp(t, { args: ['--lease-max-seconds', '100'] })
  const repository = 'r.git'
  const lease = await leases.unary('Acquire', {
    repository,
    ttl: { seconds: 30, nanos: 500_000_000 },
    reason: 'x',
  })
  t.match(lease, { repository, reason: 'x', ttl: { seconds: 30, nanos: 500_000_000 } })
  t.match(await listed(sidecar.adminUrl), [{ id: lease['id'], repository, reason: 'x', ttlSeconds: 30.5 }])
  const seconds = (key: string): number => (lease[key] as { seconds: number }).seconds
  t.ok(seconds('expiresAt') - seconds('openedAt') >= 30)
  t.ok(Math.abs(seconds('openedAt') - Date.now() / 1000) < 60)
  const { id } = lease
  t.match(await leases.unary('Renew', { id }), { id, ttl: { seconds: 30 } }, 'its time limit starts again')
  t.match(await leases.unary('Renew', { id, ttl: { seconds: 60 } }), { id, ttl: { seconds: 60 } })
  t.same(await leases.unary('Release', { id, unchanged: true }), {})
  t.equal(await sidecar.metric('refstream_leases_ended_total', { end: 'unchanged' }), 1)
  for (const method of ['Renew', 'Release']) {
    t.equal(await codeOf(leases.unary(method, { id })), 'NOT_FOUND', `${method}: the lease has ended`)
  }
  const absolute = await leases.unary('Acquire', { repository: join(root, 'r.git'), ttl: { seconds: 60 } })
  t.match(absolute, { repository, reason: '' })
  const release = (refs: string[]) =>
    leases.unary('Release', { id: absolute['id'], refs: refs.map((name) => Buffer.from(name)) })
  t.equal(await codeOf(release(['main'])), 'INVALID_ARGUMENT', 'not the full name of a ref')
  await release(['refs/heads/main', 'HEAD'])
  t.equal(await sidecar.metric('refstream_leases_ended_total', { end: 'changed' }), 1)

  const acquire = (request: object) => codeOf(leases.unary('Acquire', { repository, ...request }))
  t.equal(await acquire({}), 'INVALID_ARGUMENT', 'no time limit')
  for (const ttl of [{ seconds: 0 }, { seconds: -1 }, { seconds: 101 }]) {
    t.equal(await acquire({ ttl }), 'INVALID_ARGUMENT', JSON.stringify(ttl))
  }
  const ttl = { seconds: 1 }
  t.equal(await acquire({ ttl, reason: 'x'.repeat(1001) }), 'INVALID_ARGUMENT')
  t.equal(await acquire({ ttl, repository: '../r.git' }), 'INVALID_ARGUMENT')
  t.equal(await acquire({ ttl, repository: 'none.git' }), 'NOT_FOUND')
  t.equal(await acquire({ ttl, repository: '/etc' }), 'NOT_FOUND')
})

t.test('Hold: the lease lasts as long as the call', async (t) => {
  const { sidecar, leases } = await setUp(t)
  const open = (): Promise<number> => sidecar.metric('refstream_leases_open')
  const ended = (end: string): Promise<number> => sidecar.metric('refstream_leases_ended_total', { end })
  const call = leases.stream('Hold', { repository: 'r.git', reason: 'nightly' })
  const [lease] = (await once(call, 'data')) as [Message]
  t.match(lease, { repository: 'r.git', reason: 'nightly' })
  t.equal(await open(), 1)
  call.on('error', () => {})
  call.cancel()
  await eventually('the lease ends as changed', async () => (await ended('changed')) === 1)
  t.equal(await open(), 0)

  const released = leases.stream('Hold', { repository: 'r.git' })
  const [other] = (await once(released, 'data')) as [Message]
  const end = once(released, 'status') as Promise<[{ code: status }]>
  await leases.unary('Release', { id: other['id'], unchanged: true })
  t.equal((await end)[0].code, status.OK, 'a released one ends with OK')
  t.equal(await ended('unchanged'), 1)

  t.equal(await codeOf(leases.all('Hold', { repository: 'none.git' })), 'NOT_FOUND')
  t.equal(await codeOf(leases.all('Hold', { repository: '' })), 'INVALID_ARGUMENT')
  t.equal(await open(), 0)
})

t.test('Hold: the lease ends when the connection of its holder breaks', async (t) => {
  const { sidecar } = await setUp(t)
  const holder = new GrpcClient(t, sidecar.grpcTarget, 'refstream.v1.LeaseService')
  const call = holder.stream('Hold', { repository: 'r.git' }).on('error', () => {})
  await once(call, 'data')
  holder.close()
  call.cancel()
  const open = (): Promise<number> => sidecar.metric('refstream_leases_open')
  await eventually('the lease ends', async () => (await open()) === 0)
})

t.test('Hold: a shutdown does not wait for the lease, and the next process keeps it', async (t) => {
  const { sidecar, leases, start } = await setUp(t)
  const call = leases.stream('Hold', { repository: 'r.git' })
  const [lease] = (await once(call, 'data')) as [Message]
  const error = once(call, 'error') as Promise<[ServiceError]>
  t.equal(await sidecar.stop(), 0)
  t.equal((await error)[0].code, status.UNAVAILABLE)
  const next = await start()
  t.match(await listed(next.sidecar.adminUrl), [{ id: lease['id'], repository: 'r.git' }])
  t.same(await next.leases.unary('Release', { id: lease['id'] }), {})
})

t.test('in lease mode a cached answer is reused only after the lease has ended', async (t) => {
  const { repository, sidecar, leases, cache, refs } = await setUp(t, {
    args: ['--freshness', 'lease', '--unleased-max-age-seconds', '1000'],
  })
  const count = async (): Promise<number> => {
    const messages = await refs.all('ListRefs', { repository: 'r.git' })
    return messages.flatMap((message) => message['refs']).length
  }
  t.equal(await count(), 3)
  git(repository, 'update-ref', 'refs/heads/a', 'main')
  t.equal(await count(), 3, 'a change without a lease is not noticed')
  t.same(await cache.unary('Invalidate', { repository: 'r.git' }), {})
  t.equal(await count(), 4)
  t.equal(await sidecar.metric('refstream_invalidations_total', { source: 'grpc' }), 1)

  const { id } = await leases.unary('Acquire', { repository: 'r.git', ttl: { seconds: 60 } })
  git(repository, 'update-ref', 'refs/heads/b', 'main')
  t.equal(await count(), 5, 'while a lease is open, each answer is new')
  t.match(await cache.unary('Stat', { repository: 'r.git' }), { settled: false, leasesOpen: 1 })
  git(repository, 'update-ref', 'refs/heads/c', 'main')
  await leases.unary('Release', { id })
  t.equal(await count(), 6)
})

t.test('Stat returns what is known of a repository', async (t) => {
  const { root, cache, refs } = await setUp(t)
  t.match(await cache.unary('Stat', { repository: 'r' }), {
    ...{ repository: 'r.git', exported: true, mode: 'observe', modeReason: 'local', leasesOpen: 0 },
    entries: [],
  })
  const bytes = await refs.bytes('Advertise', { repository: 'r.git' })
  await refs.all('ListRefs', { repository: 'r.git' })
  await eventually('both entries are committed', async () => {
    const { entries } = await cache.unary('Stat', { repository: 'r.git' })
    return (entries as Message[]).length === 2
  })
  const { entries, settled } = await cache.unary('Stat', { repository: 'r.git' })
  t.equal(settled, true)
  t.match(entries, [{ kind: 'advertisement v0', bytes: bytes.length }, { kind: 'listing sha1' }])
  for (const method of ['Stat', 'Invalidate']) {
    t.equal(await codeOf(cache.unary(method, { repository: 'none.git' })), 'NOT_FOUND')
    t.equal(await codeOf(cache.unary(method, { repository: '' })), 'INVALID_ARGUMENT')
  }
  t.match(
    (await errorOf(cache.unary('Stat', { repository: join(root, 'r.git') }))).code,
    status.INVALID_ARGUMENT,
  )
})
