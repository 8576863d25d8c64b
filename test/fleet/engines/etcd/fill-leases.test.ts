import t from 'tap'
import { EtcdEngine } from '../../../../src/fleet/engines/etcd/etcd-engine.js'
import { eventually } from '../../../support/eventually.js'
import { etcdAddress, openEngine, skipEtcd, startEtcd } from '../../../support/fleet/etcd.js'
import { name } from '../../engine-names.js'

t.test('fill leases', { skip: skipEtcd }, async (t) => {
  const server = await startEtcd(t)
  const address = etcdAddress([server])
  const a = openEngine(t, { address })
  const someClaim = () => ({ repository: 'r', key: name(), state: 's', node: 'a', ttlMs: 60_000 })

  await t.test('etcd ends the lease and the failure of a node that has ended', async (t) => {
    const mortal = new EtcdEngine({ fleet: 'test', address })
    const [claim, failed] = [someClaim(), someClaim()].map((each) => ({ ...each, ttlMs: 300 }))
    await mortal.claim(claim!)
    const granted = await mortal.claim(failed!)
    const token = granted.kind === 'granted' ? granted.token : ''
    const failure = { state: undefined, attempt: 1, code: 'c', message: 'm' }
    await mortal.publish({ ...failed!, token }, { kind: 'failure', failure, ttlMs: 300 })
    await mortal.close()
    const keys = (): string => server.control('get', '--prefix', '--keys-only', 'test/fill/')
    t.match(keys(), claim!.key)
    t.match(keys(), failed!.key)
    await eventually('the records are gone', () => keys().trim() === '')
    t.match(await a.claim({ ...claim!, node: 'b' }), { kind: 'granted' })
  })

  await t.test('a claim is renewed and published by another client of the same node', async (t) => {
    const b = openEngine(t, { address })
    const claim = someClaim()
    const granted = await a.claim(claim)
    const held = { ...claim, token: granted.kind === 'granted' ? granted.token : '' }
    t.equal(await b.renew(held), true)
    t.equal(await a.renew(held), true, 'after another one has written it')
    t.equal(await b.renew(held), true)
    t.equal(await a.publish({ ...held, node: 'b' }, { kind: 'nothing' }), false, 'not of another node')
    t.equal(await a.publish(held, { kind: 'nothing' }), true)
    t.equal(await b.renew(held), false)
  })

  await t.test('one lease that is not renewed ends, whatever else its node renews', async (t) => {
    const b = openEngine(t, { address })
    const [kept, dropped] = [someClaim(), someClaim()].map((each) => ({ ...each, ttlMs: 400 }))
    const granted = await a.claim(kept!)
    const held = { ...kept!, token: granted.kind === 'granted' ? granted.token : '' }
    await a.claim(dropped!)
    let renewals = 0
    await eventually('the other lease is granted', async () => {
      if (await a.renew(held)) renewals++
      return (await b.claim({ ...dropped!, node: 'b' })).kind === 'granted'
    })
    t.ok(renewals > 0)
    t.match(await b.claim({ ...kept!, node: 'b' }), { kind: 'held', token: held.token })
  })

  await t.test('records of another version count as absent', async (t) => {
    const claim = someClaim()
    const prefix = `test/fill/r/${claim.key}`
    server.control('put', `${prefix}/lease`, '{"v":2,"nonce":"n","node":"b","ttlMs":60000}')
    server.control('put', `${prefix}/entry`, 'not JSON \u{1F680}')
    server.control('put', `${prefix}/failure`, '{"v":1,"failure":7}')
    server.control('put', `${prefix}/later`, '{}')
    const granted = await a.claim(claim)
    t.match(granted, { kind: 'granted' })
    const held = { ...claim, token: granted.kind === 'granted' ? granted.token : '' }
    t.equal(await a.publish(held, { kind: 'entry', state: 's', entry: { length: 1 } }), true)
    t.match(await a.claim({ ...claim, node: 'b' }), { kind: 'published', entry: { length: 1 } })
    server.control(
      ...['put', `${prefix}/entry`],
      '{"v":1,"token":"t","node":"n","state":"s","entry":{"length":2,"x":1},"y":2}',
    )
    const expected = { kind: 'published', node: 'n', token: 't', entry: { length: 2 } }
    t.strictSame(await a.claim(claim), expected, 'fields that are not known are ignored')
  })

  await t.test('each grant has a token of its own', async (t) => {
    const tokens = new Set<string>()
    const claim = someClaim()
    for (let times = 0; times < 20; times++) {
      const granted = await a.claim(claim)
      if (granted.kind === 'granted') tokens.add(granted.token)
    }
    t.equal(tokens.size, 20)
  })
})
