import t from 'tap'
import { TooManyFleetLeases } from '../../../../src/fleet/engine.js'
import { EtcdEngine } from '../../../../src/fleet/engines/etcd/etcd-engine.js'
import { eventually } from '../../../support/eventually.js'
import { etcdAddress, openEngine, skipEtcd, startEtcd } from '../../../support/fleet/etcd.js'
import { leaseId } from '../../engine-names.js'

const someLease = (ttlMs = 60_000) => ({
  ...{ id: leaseId('r'), repository: 'r', name: 'r', reason: undefined, openedAtMs: 1, ttlMs },
})

t.test(
  'etcd ends a mutator lease whose node has ended, and it counts as a change',
  { skip: skipEtcd },
  async (t) => {
    const address = etcdAddress([await startEtcd(t)])
    const mortal = new EtcdEngine({ fleet: 'test', address })
    const engine = openEngine(t, { address })
    await mortal.openLease(someLease(300))
    await mortal.close()
    t.match(await engine.epochs(['r']), [{ open: 1, openings: 1, changes: 0 }])
    const [lease] = await engine.leases()
    t.ok(lease!.leftMs > 0 && lease!.leftMs <= 300)
    await eventually('it has ended', async () => (await engine.epochs(['r']))[0]!.open === 0)
    t.match(await engine.epochs(['r']), [{ open: 0, openings: 1, changes: 1 }])
    t.same(await engine.leases(), [])
  },
)

t.test('many leases are listed', { skip: skipEtcd }, async (t) => {
  const engine = openEngine(t, { address: etcdAddress([await startEtcd(t)]) })
  const leases = Array.from({ length: 401 }, () => someLease())
  await Promise.all(leases.map((lease) => engine.openLease(lease)))
  const ids = (await engine.leases()).map(({ id }) => id)
  t.same(ids.sort(), leases.map(({ id }) => id).sort())
})

t.test('of leases that are opened at once, as many are as may be', { skip: skipEtcd }, async (t) => {
  const address = etcdAddress([await startEtcd(t)])
  const engines = [0, 1].map(() => openEngine(t, { address, leasesMax: 5 }))
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, (_, index) => engines[index % 2]!.openLease(someLease())),
  )
  const refused = outcomes.filter(({ status }) => status === 'rejected')
  t.equal(refused.length, 7)
  t.ok(refused.every((each) => each.status === 'rejected' && each.reason instanceof TooManyFleetLeases))
  const [epoch] = await engines[0]!.epochs(['r'])
  t.match(epoch, { open: 5, changes: 0 })
  t.equal((await engines[1]!.leases()).length, 5)
})
