import t from 'tap'
import type { Test } from 'tap'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { leaseEndpoints } from '../../src/admin/lease-api.js'
import type { Leases } from '../../src/freshness/leases/leases.js'
import { serveEndpoints, type AdminReply, type TestAdmin } from '../support/admin.js'
import { makeLeaseService } from '../support/lease-service.js'
import { makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

interface World extends TestAdmin {
  readonly root: string
  readonly repository: string
  readonly leases: Leases
  readonly invalidations: string[]
}

async function makeWorld(t: Test): Promise<World> {
  const { root, leases, service } = makeLeaseService(t)
  const invalidations: string[] = []
  const endpoints = leaseEndpoints({
    leases: service,
    maxSeconds: 100,
    invalidated: (source) => invalidations.push(source),
  })
  const repository = makeRepository(root, 'group/r.git')
  return { ...(await serveEndpoints(t, endpoints)), root, repository, leases, invalidations }
}

const idOf = ({ body }: AdminReply): string => (body as { id: string }).id

t.test('a lease is opened, listed, renewed and ended', async (t) => {
  const { call, leases, repository } = await makeWorld(t)
  const given = { repository: 'group/r.git', ttlSeconds: 60.5, reason: 'import' }
  const opened = await call('POST', '/v1/leases', given)
  const id = idOf(opened)
  t.match(opened, { status: 201, body: { ...given, id: /^[\w-]{22}$/ } })
  t.equal(leases.statusOf(repository).open, 1)
  t.match(await call('GET', '/v1/leases'), { status: 200, body: { leases: [opened.body] } })

  const renewed = await call('PUT', `/v1/leases/${id}`, { ttlSeconds: 99 })
  t.match(renewed, { status: 200, body: { id, ttlSeconds: 99, reason: 'import' } })
  t.match(await call('PUT', `/v1/leases/${id}`), { status: 200, body: { ttlSeconds: 99 } })
  const { openedAt, expiresAt } = renewed.body as { openedAt: string; expiresAt: string }
  t.ok(Date.parse(expiresAt) - Date.parse(openedAt) >= 99_000)

  t.match(await call('DELETE', `/v1/leases/${id}`, { changed: true }), { status: 204 })
  t.match(leases.statusOf(repository), { open: 0, changes: 1 })
  for (const method of ['DELETE', 'PUT']) {
    t.match(await call(method, `/v1/leases/${id}`), {
      status: 404,
      body: { detail: /has ended, has expired/ },
    })
    t.match(await call(method, '/v1/leases/'), { status: 404 })
  }
  t.same((await call('GET', '/v1/leases')).body, { leases: [] })
})

t.test('a lease that ends without a change', async (t) => {
  const { call, leases, repository } = await makeWorld(t)
  const open = () => call('POST', '/v1/leases', { repository: 'group/r', ttlSeconds: 60 })
  const ids = [idOf(await open()), idOf(await open())]
  t.equal(leases.statusOf(repository).open, 2)
  t.match(await call('DELETE', `/v1/leases/${ids[0]}`, { changed: false }), { status: 204 })
  t.match(leases.statusOf(repository), { open: 1, changes: 0 })
  t.match(await call('DELETE', `/v1/leases/${ids[1]}`, { changed: 'no' }), { status: 400 })
  t.match(leases.statusOf(repository), { open: 1, changes: 0 }, 'it goes on')
})

t.test('invalidate', async (t) => {
  const { call, leases, repository, invalidations } = await makeWorld(t)
  t.match(await call('POST', '/v1/invalidate', { repository: 'group/r.git' }), { status: 204 })
  t.match(leases.statusOf(repository), { open: 0, openings: 0, changes: 1 })
  t.match(await call('POST', '/v1/invalidate', { repository: 'nothing.git' }), { status: 404 })
  t.same(invalidations, ['api'])
})

t.test('a repository is named as in its URL, or by its absolute path below the root', async (t) => {
  const { call, root, repository, leases } = await makeWorld(t)
  const outside = makeRepository(tempDir(t), 'o.git')
  symlinkSync(outside, join(root, 'out.git'))
  symlinkSync(repository, join(root, 'link.git'))
  const open = (name: string) => call('POST', '/v1/leases', { repository: name, ttlSeconds: 60 })
  const good = [
    'group/r.git',
    'group/r',
    repository,
    `${repository}/`,
    `${root}/link.git`,
    'link',
    'link.git',
  ]
  for (const name of good) {
    const answer = await open(name)
    t.match(answer, { status: 201, body: { repository: 'group/r.git' } }, name)
    t.equal((await call('DELETE', `/v1/leases/${idOf(answer)}`)).status, 204)
  }
  const bad = [
    ...['..', '../x', `../${root.split('/').at(-1)}/group/r.git`, 'group/../group/r.git', './group/r.git'],
    ...['group//r.git', 'group/r.git/', 'group', 'x\0y', '/group/r.git', '/', '//', root, outside, 'out.git'],
    ...[`${root}/out.git`, `${root}/../../etc`, `${root}x`, '/nonexistent', '/etc/passwd', 'a'.repeat(4096)],
    ...['group%2Fr.git', 'group\\r.git', ' group/r.git', '~', '-', '/x\0y'],
  ]
  for (const name of bad) {
    t.match(await open(name), { status: 404, body: { detail: /no repository/ } }, JSON.stringify(name))
    t.equal((await call('POST', '/v1/invalidate', { repository: name })).status, 404)
  }
  t.same(leases.list(), [])
})

t.test('invalid values are rejected', async (t) => {
  const { call, leases } = await makeWorld(t)
  const repository = 'group/r.git'
  for (const wrong of [
    ...[0, -1, 101, 1e308, '60', null].map((ttlSeconds) => ({ repository, ttlSeconds })),
    ...[
      { repository },
      { ttlSeconds: 60 },
      { repository: '', ttlSeconds: 60 },
      { repository: 1, ttlSeconds: 60 },
    ],
    ...[
      { repository: 'a'.repeat(4097), ttlSeconds: 60 },
      { repository, ttlSeconds: 60, ttl: 1 },
    ],
    { repository, ttlSeconds: 60, reason: 'a'.repeat(1001) },
  ]) {
    t.match(await call('POST', '/v1/leases', wrong), { status: 400 }, JSON.stringify(wrong).slice(0, 80))
  }
  t.match(await call('POST', '/v1/leases', `{"repository":"${repository}","ttlSeconds":60}`), { status: 415 })
  const { id } = leases.open('/x', 60_000)
  t.match(await call('PUT', `/v1/leases/${id}`, { ttlSeconds: 101 }), { status: 400 })
  t.equal(leases.size, 1)
})

t.test('too many leases', async (t) => {
  const { call, leases } = await makeWorld(t)
  for (let count = 0; count < 10_000; count++) leases.open('/x', 60_000)
  const answer = await call('POST', '/v1/leases', { repository: 'group/r.git', ttlSeconds: 60 })
  t.match(answer, { status: 429, body: { detail: /10000 leases are open/ } })
})

t.test('a lease that ends may name the refs that were changed', async (t) => {
  const { call, leases, repository } = await makeWorld(t)
  const open = async (): Promise<string> =>
    `/v1/leases/${idOf(await call('POST', '/v1/leases', { repository: 'group/r.git', ttlSeconds: 60 }))}`
  const end = async (refs: unknown): Promise<AdminReply> => call('DELETE', await open(), { refs })
  t.match(await end(['refs/heads/ü', 'HEAD']), { status: 204 })
  t.same(leases.changedSince(repository, 0), ['refs/heads/\xc3\xbc', 'HEAD'])
  const long = Array.from({ length: 1000 }, (_, index) => `refs/heads/${'a'.repeat(300)}${index}`)
  t.match(await end(long), { status: 204 })
  t.same(leases.changedSince(repository, 1), long)
  for (const any of [[], undefined, Array<string>(1001).fill('refs/heads/a')]) {
    const { changes } = leases.statusOf(repository)
    t.match(await end(any), { status: 204 })
    t.equal(leases.changedSince(repository, changes), undefined)
  }
  const { changes } = leases.statusOf(repository)
  const path = await open()
  t.match(await call('DELETE', path, { refs: ['main'] }), {
    status: 400,
    body: { detail: /^refs: "main" is not the full name of a ref, such as refs\/heads\/main, or HEAD$/ },
  })
  for (const refs of [['refs/heads/a b'], ['refs/heads/a', ''], 'refs/heads/a', [1], {}, null])
    t.match(await call('DELETE', path, { refs }), { status: 400 }, JSON.stringify(refs))
  t.match(leases.statusOf(repository), { open: 1, changes }, 'the lease is still open')
  t.match(await call('DELETE', path, { changed: false, refs: ['refs/heads/a'] }), { status: 204 })
  t.match(leases.statusOf(repository), { open: 0, changes })
})
