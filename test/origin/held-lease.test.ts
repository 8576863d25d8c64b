import t from 'tap'
import { mock } from 'node:test'
import { Leases } from '../../src/freshness/leases/leases.js'
import type { Lease } from '../../src/freshness/leases/lease.js'
import type { MutatorLeases } from '../../src/freshness/leases/mutator-leases.js'
import { holdLease, type HeldLease } from '../../src/origin/held-lease.js'
import { turns } from '../support/producers.js'

const subject = 'https://h/r'

t.test('a lease is held as long as it takes, and ends as is told at its end', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1e12 })
  t.teardown(() => mock.timers.reset())
  const leases = new Leases()
  t.teardown(() => leases.close())
  const end = holdLease(leases, subject, 'push') as HeldLease
  for (let second = 0; second < 3600; second++) mock.timers.tick(1000)
  t.match(leases.statusOf(subject), { open: 1, openings: 1, changes: 0 })
  end('unchanged')
  t.match(leases.statusOf(subject), { open: 0, openings: 1, changes: 0 })
  const endOfSecond = holdLease(leases, subject, 'push') as HeldLease
  endOfSecond('changed')
  t.match(leases.statusOf(subject), { open: 0, openings: 2, changes: 1 })
  const endOfExpired = holdLease(leases, subject, 'push') as HeldLease
  leases.end(leases.list()[0]!.id, 'expired')
  const { changes } = leases.statusOf(subject)
  endOfExpired('unchanged')
  t.equal(leases.statusOf(subject).changes, changes + 1, 'what happened after it had expired is unknown')
})

t.test('without a lease, the end counts as a change', async (t) => {
  const leases = new Leases()
  t.teardown(() => leases.close())
  for (let count = 0; count < 10_000; count++) leases.open('https://h/other', 60_000)
  const end = holdLease(leases, subject, 'push') as HeldLease
  t.equal(leases.statusOf(subject).open, 0)
  end('unchanged')
  t.equal(leases.statusOf(subject).changes, 1)
})

t.test('another error of the leases is thrown', async (t) => {
  const leases = {
    open: () => {
      throw new Error('broken')
    },
  } as unknown as Leases
  t.throws(() => holdLease(leases, subject, 'push') as HeldLease, { message: 'broken' })
})

t.test('a lease of a fleet that has ended before its holder is reported as lost, once', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const lease = { id: 'a' } as Lease
  let renewed: Lease | undefined = lease
  let lost = 0
  const leases = {
    open: () => Promise.resolve(lease),
    renew: () => Promise.resolve(renewed),
    end: () => Promise.resolve(undefined),
    invalidate: () => Promise.resolve(),
  } as unknown as MutatorLeases
  const hold = () => holdLease(leases, subject, 'push', { lost: () => lost++ })
  await hold()
  const end = await hold()
  mock.timers.tick(20_000)
  await turns(5)
  t.equal(lost, 0)
  renewed = undefined
  mock.timers.tick(20_000)
  // Its own end comes before the answer to the renewal.
  end('changed')
  await turns(5)
  t.equal(lost, 1)
  mock.timers.tick(200_000)
  await turns(5)
  t.equal(lost, 1)
})
