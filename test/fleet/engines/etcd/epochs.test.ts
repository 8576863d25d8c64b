import { cpSync, rmSync } from 'node:fs'
import t from 'tap'
import {
  etcdAddress,
  openEngine,
  skipEtcd,
  startEtcd,
  watches,
  type EtcdServer,
} from '../../../support/fleet/etcd.js'
import { EtcdEngine } from '../../../../src/fleet/engines/etcd/etcd-engine.js'
import { eventually } from '../../../support/eventually.js'
import { leaseId, name } from '../../engine-names.js'

t.test('more repositories than one transaction may read', { skip: skipEtcd }, async (t) => {
  const engine = openEngine(t, { address: etcdAddress([await startEtcd(t)]) })
  const repositories = Array.from({ length: 200 }, name)
  for (const index of [0, 62, 63, 126, 199]) await engine.change(repositories[index]!)
  const epochs = await engine.epochs(repositories)
  t.same(
    epochs.flatMap(({ changes }, index) => (changes > 0 ? [index] : [])),
    [0, 62, 63, 126, 199],
  )
  t.equal(new Set(epochs.map(({ incarnation }) => incarnation)).size, 1)
})

t.test('repositories whose names begin alike have counts of their own', { skip: skipEtcd }, async (t) => {
  const engine = openEngine(t, { address: etcdAddress([await startEtcd(t)]) })
  const lease = { name: 'r', reason: undefined, openedAtMs: 1, ttlMs: 60_000 }
  await engine.openLease({ ...lease, id: leaseId('ab'), repository: 'ab' })
  await engine.change('a-')
  const [a, ab] = await engine.epochs(['a', 'ab'])
  t.match(a, { open: 0, openings: 0, changes: 0 })
  t.match(ab, { open: 1, openings: 1, changes: 0 })
  await t.rejects(engine.openLease({ ...lease, id: leaseId('a'), repository: 'ab' }), { name: 'EtcdError' })
})

t.test('an etcd whose backup was restored has another incarnation', { skip: skipEtcd }, async (t) => {
  const server = await startEtcd(t)
  const engine = openEngine(t, { address: etcdAddress([server]) })
  const other = openEngine(t, { address: etcdAddress([server]) })
  await engine.change('r')
  const [saved] = await engine.epochs(['r'])
  const backup = `${server.directory}.backup`
  await server.kill()
  cpSync(server.directory, backup, { recursive: true })
  await server.start()
  const changed = async (engine: EtcdEngine): Promise<void> =>
    eventually('the change is recorded', () =>
      engine.change('r').then(
        () => true,
        () => false,
      ),
    )
  await changed(engine)
  const [last] = await engine.epochs(['r'])
  t.equal(last!.incarnation, saved!.incarnation, 'a restart alone changes nothing')
  t.equal(last!.changes, 2)
  await watches(other)
  await restore(server, backup)
  await changed(other)
  const [restored] = await engine.epochs(['r']).catch(() => engine.epochs(['r']))
  t.not(restored!.incarnation, last!.incarnation)
  t.same(await other.epochs(['r']), [restored], 'for all nodes')
})

async function restore(server: EtcdServer, backup: string): Promise<void> {
  await server.kill()
  rmSync(server.directory, { recursive: true })
  cpSync(backup, server.directory, { recursive: true })
  await server.start()
}
