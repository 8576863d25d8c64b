// What happens while etcd is away, and afterwards.
import t from 'tap'
import type { FleetEngine } from '../../../../src/fleet/engine.js'
import { EtcdEngine } from '../../../../src/fleet/engines/etcd/etcd-engine.js'
import { eventually } from '../../../support/eventually.js'
import {
  etcdAddress,
  openEngine,
  skipEtcd,
  startEtcd,
  startMembers,
  watches,
} from '../../../support/fleet/etcd.js'
import { leaseId, name } from '../../engine-names.js'

const ttlMs = 60_000
const claim = { repository: 'r', key: 'k', state: 's', node: 'a', ttlMs }

const works = (engine: FleetEngine): Promise<void> =>
  eventually('the engine answers', () =>
    engine.epochs(['r']).then(
      () => true,
      () => false,
    ),
  )

const everything = (engine: FleetEngine): (() => Promise<unknown>)[] => {
  const held = { ...claim, token: '1.x' }
  const id = leaseId('r')
  const lease = { id, repository: 'r', name: 'r', reason: undefined, openedAtMs: 1, ttlMs }
  return [
    () => engine.claim({ ...claim, key: name() }),
    () => engine.renew(held),
    () => engine.publish(held, { kind: 'nothing' }),
    () => engine.epochs(['r']),
    () => engine.change('r'),
    () => engine.openLease(lease),
    () => engine.renewLease(id),
    () => engine.endLease(id, 'changed'),
    () => engine.leases(),
    () => engine.beat('a', ttlMs),
    () => engine.leave('a'),
  ]
}

t.test('etcd is killed and comes back, with its data and without', { skip: skipEtcd }, async (t) => {
  const server = await startEtcd(t)
  const engine = openEngine(t, { address: etcdAddress([server]) })
  await watches(engine)
  const [before] = await engine.epochs(['r'])
  const first = await engine.claim(claim)
  t.ok(first.kind === 'granted')
  const token = first.kind === 'granted' ? first.token : ''
  const lease = {
    ...{ id: leaseId('r'), repository: 'r', name: 'r', reason: undefined, openedAtMs: 1, ttlMs },
  }
  await engine.openLease(lease)

  await server.kill()
  for (const operation of everything(engine)) {
    await t.rejects(operation(), { name: 'EtcdError', code: 14, message: /^etcd at 127\.0\.0\.1:\d+: ./ })
  }
  await server.start()
  await works(engine)
  t.match(await engine.epochs(['r']), [{ ...before, open: 1, openings: before!.openings + 1 }])
  t.equal(await engine.renew({ ...claim, token }), true, 'the lease has outlived it')
  await watches(engine)
  t.pass('changes are reported again')

  await server.lose()
  await server.start()
  await works(engine)
  const [after] = await engine.epochs(['r'])
  t.not(after!.incarnation, before!.incarnation)
  t.match(after, { open: 0, openings: 0, changes: 0 })
  t.equal(await engine.renew({ ...claim, token }), false)
  t.equal(await engine.publish({ ...claim, token }, { kind: 'nothing' }), false)
  t.equal(await engine.renewLease(lease.id), undefined)
  t.same(await engine.beat('a', ttlMs), ['a'])
  const second = await engine.claim({ ...claim, node: 'b' })
  t.match(second, { kind: 'granted' })
  t.not(second.kind === 'granted' && second.token, token)
  await watches(engine)
  t.pass('changes are reported, though their revisions are older')
})

t.test(
  'etcd hangs: operations reject after their deadline, and work again',
  { skip: skipEtcd },
  async (t) => {
    const server = await startEtcd(t)
    const engine = openEngine(t, { address: etcdAddress([server]) })
    await works(engine)
    const first = await engine.claim(claim)
    const changesBefore = (await engine.epochs(['r']))[0]!.changes
    server.signal('SIGSTOP')
    const outcomes = await Promise.allSettled(everything(engine).map((operation) => operation()))
    t.same(
      outcomes.map(({ status }) => status),
      outcomes.map(() => 'rejected'),
    )
    t.match(outcomes[0], { reason: { code: 4 } })
    server.signal('SIGCONT')
    await works(engine)
    t.match(await engine.claim({ ...claim, node: 'b' }), { ...first, kind: 'held' })
    // What was sent may have been done, also late.
    t.ok((await engine.epochs(['r']))[0]!.changes >= changesBefore)
    await watches(engine)
  },
)

t.test('of three members, the leader is killed', { skip: skipEtcd }, async (t) => {
  const servers = await startMembers(t, 3)
  const engines = [0, 1, 2].map(() => openEngine(t, { address: etcdAddress(servers) }))
  for (const engine of engines) await works(engine)
  const first = await engines[0]!.claim(claim)
  await engines[1]!.change('r')
  const [before] = await engines[2]!.epochs(['r'])
  const leader = servers.find((server) => {
    const [line = ''] = server.control('endpoint', 'status', '-w', 'simple').split('\n')
    return line.split(', ')[4] === 'true'
  })
  t.ok(leader)
  await leader!.kill()
  for (const engine of engines) await works(engine)
  for (const engine of engines) {
    t.same(await engine.epochs(['r']), [before])
    t.match(await engine.claim({ ...claim, node: 'b' }), { ...first, kind: 'held' })
    await watches(engine)
  }
})

t.test('the second host is used if the first one is away or silent', { skip: skipEtcd }, async (t) => {
  const [server, silent] = await Promise.all([startEtcd(t), startEtcd(t)])
  const away = await startEtcd(t)
  await away.kill()
  silent.signal('SIGSTOP')
  for (let times = 0; times < 4; times++) {
    const engine = openEngine(t, { address: etcdAddress([away, server]) })
    t.match(await engine.epochs(['r']), [{ open: 0 }], 'at once if there is no connection')
  }
  for (let times = 0; times < 4; times++) {
    const engine = openEngine(t, { address: etcdAddress([silent, server]) })
    await engine.epochs(['r']).catch(() => undefined)
    t.match(await engine.epochs(['r']), [{ open: 0 }], 'after one call that got no answer')
    await watches(engine)
  }
})

t.test('an engine may be closed while etcd is away, and ends its calls', { skip: skipEtcd }, async (t) => {
  const server = await startEtcd(t)
  server.signal('SIGSTOP')
  const engine = new EtcdEngine({ fleet: 'test', address: etcdAddress([server]) })
  const answer = t.rejects(engine.epochs(['r']))
  await new Promise((resolve) => setImmediate(resolve))
  await engine.close()
  await answer
  await t.rejects(engine.epochs(['r']), { message: 'the connection to etcd is closed' })
  await engine.close()
})
