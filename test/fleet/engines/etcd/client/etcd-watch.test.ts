import t from 'tap'
import type { FleetEngine, Hint } from '../../../../../src/fleet/engine.js'
import type { EtcdEngine } from '../../../../../src/fleet/engines/etcd/etcd-engine.js'
import { eventually } from '../../../../support/eventually.js'
import { etcdAddress, openEngine, skipEtcd, startEtcd, watches } from '../../../../support/fleet/etcd.js'
import { startCuttableProxy } from '../../../../support/fleet/cuttable-proxy.js'
import { leaseId } from '../../../engine-names.js'

const ttlMs = 60_000

/** Collects hints as text. */
const hearing = (engine: FleetEngine): string[] => {
  const heard: string[] = []
  engine.watch((hint: Hint) => {
    // watches() has made such changes.
    if (hint.repository === 'poke') return
    heard.push(hint.kind === 'key' ? `${hint.repository}/${hint.key}` : hint.repository)
  })
  return heard
}

t.test(
  'changes that were made while the connection was broken are reported',
  { skip: skipEtcd },
  async (t) => {
    const server = await startEtcd(t)
    const proxy = await startCuttableProxy(t, server.port)
    const hosts = [{ host: '127.0.0.1', port: proxy.port }]
    const behind = openEngine(t, { address: etcdAddress([], { hosts }) })
    const beside = openEngine(t, { address: etcdAddress([server]) })
    await watches(behind)
    const heard = hearing(behind)
    const hears = (what: string): Promise<void> =>
      eventually(`${what} is reported`, () => heard.includes(what))

    proxy.cut()
    await t.rejects(behind.epochs(['r']))
    await beside.change('missed')
    await beside.claim({ repository: 'r', key: 'missed', state: 's', node: 'a', ttlMs })
    t.same(heard, [])
    proxy.mend()
    await hears('missed')
    await hears('r/missed')
    t.same(await behind.epochs(['r']), await beside.epochs(['r']))

    proxy.cut()
    await beside.change('compacted')
    await beside.change('compacted')
    const { header } = JSON.parse(server.control('get', 'x', '-w', 'json')) as {
      header: { revision: number }
    }
    server.control('compact', String(header.revision))
    proxy.mend()
    await eventually('later changes are reported', async () => {
      await beside.change('later')
      return heard.includes('later')
    })
    t.notOk(heard.includes('compacted'), 'what etcd does not know any more is lost')
  },
)

t.test('hints tell of what others wait for, and of nothing else', { skip: skipEtcd }, async (t) => {
  const server = await startEtcd(t)
  const [a, b] = [0, 1].map(() => openEngine(t, { address: etcdAddress([server]) })) as [
    EtcdEngine,
    EtcdEngine,
  ]
  await watches(a)
  const heard = hearing(a)
  const claim = { repository: 'r', key: 'k', state: 's', node: 'a', ttlMs }
  /** What is reported until now: a last change is heard after all others. */
  const reported = async (): Promise<string[]> => {
    await b.change('last')
    await eventually('the last change is reported', () => heard.includes('last'))
    return heard.splice(0).filter((each) => each !== 'last')
  }
  const first = await b.claim(claim)
  const token = first.kind === 'granted' ? first.token : ''
  t.same(await reported(), ['r/k'], 'a grant')
  t.equal(await b.renew({ ...claim, token }), true)
  t.equal(await b.renew({ ...claim, token }), true)
  t.same(await reported(), [], 'no renewal')
  await b.beat('a', ttlMs)
  t.same(await reported(), [], 'no beat')
  await b.publish({ ...claim, token }, { kind: 'entry', state: 's', entry: { length: 1 } })
  t.ok((await reported()).includes('r/k'), 'what came of it')
  const lease = { id: leaseId('r'), repository: 'r', name: 'r', reason: undefined, openedAtMs: 1, ttlMs }
  await b.openLease(lease)
  t.ok((await reported()).includes('r'))
  await b.renewLease(lease.id)
  t.same(await reported(), [], 'no renewal of a mutator lease')
  await b.endLease(lease.id, 'unchanged')
  t.ok((await reported()).includes('r'))
  server.control('put', 'test/fill/r', 'x')
  server.control('put', 'test/lease/r', 'x')
  server.control('put', 'test/other/r/k', 'x')
  t.same(await reported(), [], 'keys that are not understood')
})
