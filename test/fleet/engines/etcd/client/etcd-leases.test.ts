import t from 'tap'
import type { EtcdClient } from '../../../../../src/fleet/engines/etcd/client/etcd-client.js'
import { EtcdError, status } from '../../../../../src/fleet/engines/etcd/client/etcd-error.js'
import { EtcdLeases } from '../../../../../src/fleet/engines/etcd/client/etcd-leases.js'
import { FakeClock } from '../../../../support/fake-clock.js'

/** Grants leases `1`, `2` and so on. */
const rig = () => {
  const clock = new FakeClock()
  const granted: number[] = []
  const revoked: string[] = []
  const unknown = new Set<string>()
  let asked = 0
  const client = {
    grant: async (seconds: number) => String(granted.push(seconds)),
    revoke: async (id: string) => {
      revoked.push(id)
      if (unknown.has(id)) throw new EtcdError('requested lease not found', { code: status.notFound })
    },
    timeToLive: async (id: string) => {
      asked++
      return id === 'gone' ? -1 : 7
    },
  } as unknown as EtcdClient
  const leases = new EtcdLeases(client, clock)
  const attach = (ttlMs: number, owner = ''): Promise<string> =>
    leases.attach({ owner, ttlMs }, async (id) => {
      if (unknown.has(id)) throw new EtcdError('requested lease not found', { code: status.notFound })
      return id
    })
  return { clock, leases, granted, revoked, unknown, attach, asked: () => asked }
}

t.test('an etcd lease is shared while it lasts long enough', async (t) => {
  const { clock, granted, attach } = rig()
  t.same(await Promise.all([attach(10_000), attach(10_000)]), ['1', '1'], 'also while it is made')
  clock.advance(1000)
  t.equal(await attach(10_000), '1')
  clock.advance(1)
  t.equal(await attach(10_000), '2')
  t.same(granted, [11, 11], 'it is a second longer than the time limit')
  await attach(3_600_000)
  await attach(1)
  t.same(granted.slice(2), [3660, 2])
  await attach(10_000, 'node')
  t.equal(granted.length, 5, 'a node has leases of its own')
})

t.test('an etcd lease that etcd does not know is replaced', async (t) => {
  const { granted, unknown, attach } = rig()
  await attach(10_000)
  unknown.add('1')
  t.equal(await attach(10_000), '2')
  t.equal(await attach(10_000), '2')
  t.equal(granted.length, 2)
  unknown.add('2').add('3')
  await t.rejects(attach(10_000), { code: status.notFound }, 'once')
})

t.test('other errors are returned', async (t) => {
  const { leases, granted } = rig()
  await t.rejects(
    leases.attach({ owner: '', ttlMs: 1 }, () => Promise.reject(new EtcdError('no'))),
    { message: 'no' },
  )
  t.equal(granted.length, 1)
})

t.test('all etcd leases of a node are revoked', async (t) => {
  const { clock, leases, revoked, unknown, attach } = rig()
  await attach(10_000, 'a')
  clock.advance(5000)
  await attach(10_000, 'a')
  await attach(500, 'a')
  await attach(10_000, 'b')
  unknown.add('2')
  await leases.revoke('a')
  t.same(revoked.sort(), ['1', '2', '3'])
  await leases.revoke('a')
  t.equal(revoked.length, 3)
  t.equal(await attach(10_000, 'a'), '5')
})

t.test('what has expired is forgotten', async (t) => {
  const { clock, leases, revoked, attach } = rig()
  await attach(10_000, 'a')
  clock.advance(11_001)
  await attach(10_000, 'b')
  await leases.revoke('a')
  t.same(revoked, [])
})

t.test('etcd is asked once when a lease ends', async (t) => {
  const { clock, leases, asked, attach } = rig()
  const own = await attach(10_000)
  clock.advance(1000)
  t.equal(await leases.leftMs(own), 10_000)
  t.equal(asked(), 0, 'not of own leases')
  t.equal(await leases.leftMs('x'), 8000)
  clock.advance(3000)
  t.equal(await leases.leftMs('x'), 5000)
  t.equal(asked(), 1)
  t.equal(await leases.leftMs('gone'), 0)
})
