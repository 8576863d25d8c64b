import t from 'tap'
import { mock } from 'node:test'
import type { Repository } from '../../src/git/state/repository.js'
import { makeLeaseService } from '../support/lease-service.js'
import { initBare, makeRepository, git } from '../support/repositories.js'

t.test(
  'leases have names below the root, and linked worktrees share those of their repository',
  async (t) => {
    const { root, leases, service } = makeLeaseService(t)
    const path = makeRepository(root, 'group/r.git')
    git(path, 'worktree', 'add', '--quiet', '--detach', `${root}/tree`, 'main')
    const lease = await service.open('group/r', 60_000, 'why')
    t.match(lease, { repository: 'group/r.git', reason: 'why', ttlMs: 60_000 })
    t.match(service.open('tree', 60_000), { repository: 'group/r.git' }, 'its refs are the repository’s')
    t.equal(leases.statusOf(path).open, 2)
    t.equal(service.list().length, 2)
    t.match(service.renew(lease.id, 70_000), { ttlMs: 70_000 })
    t.doesNotThrow(() => service.end(lease.id, false))
    t.throws(() => service.end(lease.id, false), { name: 'UnknownLease' })
    t.throws(() => service.renew(lease.id), { name: 'UnknownLease' })
    t.match(leases.statusOf(path), { open: 1, changes: 0 })
    service.invalidate('group/r.git')
    t.match(leases.statusOf(path), { open: 1, changes: 1 })
    t.throws(() => service.open('nothing', 60_000), { name: 'RepositoryNotFound', message: 'nothing' })
    t.throws(() => service.invalidate('../x'), { name: 'RepositoryNotFound' })
  },
)

t.test('a root that is a repository is named by its absolute path', async (t) => {
  const { root, leases, service } = makeLeaseService(t)
  initBare(root, '.')
  t.match(service.open(root, 60_000), { repository: '' })
  service.invalidate(`${root}/.`)
  t.same(leases.statusOf(root), { open: 1, openings: 1, changes: 1 })
})

/** A repository that need not be there. */
const somewhere: Repository = {
  ...{ gitDir: '/r', commonDir: '/r', gitName: '/r', commonName: '/r' },
  ...{ linkedNames: [], gitIdentity: '1', commonIdentity: '1' },
}

for (const mode of ['lease', 'observe'] as const) {
  t.test(`a mutator inside this process holds its lease until it ends; mode ${mode}`, async (t) => {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1e12 })
    t.teardown(() => mock.timers.reset())
    const { leases, service } = makeLeaseService(t, mode)
    // In the mode observe, the disk shows whether there was a change.
    const ended = mode === 'lease' ? 1 : 0
    const repository = somewhere
    const end = service.hold(repository, 'push')
    const other = service.hold(repository, 'push')
    for (let minute = 0; minute < 5; minute++) {
      for (let second = 0; second < 60; second++) mock.timers.tick(1000)
      t.same(leases.statusOf('/r'), { open: 2, openings: 2, changes: 0 })
    }
    end()
    t.same(leases.statusOf('/r'), { open: 1, openings: 2, changes: ended })
    // As if the process had stood still for longer than the lease lasts.
    leases.end(leases.list()[0]!.id, 'expired')
    other()
    t.same(
      leases.statusOf('/r'),
      { open: 0, openings: 2, changes: ended + 2 },
      'its end counts as a change all the same',
    )
    for (let second = 0; second < 200; second++) mock.timers.tick(1000)
    t.same(leases.statusOf('/r'), { open: 0, openings: 2, changes: ended + 2 }, 'no timer is left')
  })
}

t.test('with too many leases open, a change invalidates its repository at its end', async (t) => {
  const { leases, service } = makeLeaseService(t)
  for (let count = 0; count < 10_000; count++) leases.open('/x', 60_000)
  const end = service.hold(somewhere, 'push')
  t.same(leases.statusOf('/r'), { open: 0, openings: 0, changes: 0 })
  end()
  t.same(leases.statusOf('/r'), { open: 0, openings: 0, changes: 1 })
})
