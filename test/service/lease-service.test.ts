import t from 'tap'
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
    t.match(service.list(), { length: 2 })
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
  t.match(leases.statusOf(root), { open: 1, openings: 1, changes: 1 })
})
