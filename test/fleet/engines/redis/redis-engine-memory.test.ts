import t from 'tap'
import type { Test } from 'tap'
import type { Claim, Epoch, FleetEngine, HeldClaim, NewFleetLease } from '../../../../src/fleet/engine.js'
import { eventually } from '../../../support/eventually.js'
import { openEngine, randomName, untilAnswers } from '../../../support/fleet/redis-engines.js'
import { replicate, skipRedis, startRedis } from '../../../support/fleet/redis.js'

// What a server forgets, by whatever way: no token is given twice, no old token counts, and no old count is compared.

const claimOf = (repository: string): Claim => ({
  ...{ repository, key: 'key', state: 'state', node: randomName(), ttlMs: 60_000 },
})

const leaseOf = (repository: string): NewFleetLease => ({
  id: `${repository}.${randomName()}`,
  ...{ repository, name: 'a', reason: undefined, openedAtMs: 1, ttlMs: 60_000 },
})

const entry = { kind: 'entry', state: 'state', entry: { length: 1 } } as const

async function grant(t: Test, engine: FleetEngine, claim: Claim): Promise<HeldClaim> {
  const answer = await engine.claim(claim)
  t.equal(answer.kind, 'granted')
  const { repository, key, node, ttlMs } = claim
  return { repository, key, node, ttlMs, token: answer.kind === 'granted' ? answer.token : '' }
}

async function epochOf(engine: FleetEngine, repository: string): Promise<Epoch> {
  return (await engine.epochs([repository]))[0]!
}

/** Collects what must never come twice. */
class Unique {
  readonly #t: Test
  readonly #seen = new Set<string>()

  constructor(t: Test) {
    this.#t = t
  }

  add(value: string): void {
    this.#t.notOk(this.#seen.has(value), `${value} comes once`)
    this.#seen.add(value)
  }
}

for (const isPersistent of [false, true]) {
  const how = isPersistent ? 'with its data' : 'without data'
  t.test(`a server that starts again ${how}`, { skip: skipRedis }, async (t) => {
    const server = await startRedis(t, { isPersistent })
    const engine = await openEngine(t, server.address)
    const [tokens, incarnations] = [new Unique(t), new Unique(t)]
    const lease = leaseOf('r')
    for (let starts = 0; starts < 3; starts++) {
      const held = await grant(t, engine, claimOf('r'))
      tokens.add(held.token)
      if (starts === 0) await engine.openLease(lease)
      await engine.change('r')
      incarnations.add((await epochOf(engine, 'r')).incarnation)
      await server.kill()
      await t.rejects(engine.renew(held), 'rejects while the server is down')
      await server.start()
      await untilAnswers(engine)
      t.equal(await engine.renew(held), false)
      t.equal(await engine.publish(held, entry), false)
      t.equal((await epochOf(engine, 'r')).open, isPersistent ? 1 : 0)
    }
    t.equal((await engine.renewLease(lease.id)) !== undefined, isPersistent)
    incarnations.add((await epochOf(engine, 'r')).incarnation)
  })
}

t.test('a replica that lacks the last writes becomes the master', { skip: skipRedis }, async (t) => {
  const servers = await Promise.all([startRedis(t), startRedis(t)])
  const engines = await Promise.all(servers.map(({ address }) => openEngine(t, address)))
  const [tokens, incarnations] = [new Unique(t), new Unique(t)]
  let [master, replica] = [0, 1]
  for (let failovers = 0; failovers < 4; failovers++) {
    await replicate(servers[replica]!, servers[master]!)
    const [old, next] = [engines[master]!, engines[replica]!]
    await t.rejects(epochOf(next, 'r'), /READONLY/, 'a replica is not believed, not even for reading')
    const known = await grant(t, old, claimOf('known'))
    const before = await epochOf(old, 'r')
    incarnations.add(before.incarnation)
    await servers[master]!.command('WAIT', '1', '5000')
    // All that follows is lost: the replica no longer listens.
    await servers[replica]!.command('REPLICAOF', '127.0.0.1', '1')
    const lost = await grant(t, old, claimOf('r'))
    tokens.add(lost.token)
    await old.change('r')
    await old.openLease(leaseOf('r'))
    await servers[replica]!.command('REPLICAOF', 'NO', 'ONE')
    await untilAnswers(next)
    const after = await epochOf(next, 'r')
    t.not(after.incarnation, before.incarnation)
    t.equal(after.open, 0)
    for (const held of [known, lost]) {
      t.equal(await next.renew(held), false, 'what the old master has granted does not count')
      t.equal(await next.publish(held, entry), false)
    }
    for (const repository of ['r', 'known']) {
      const held = await grant(t, next, claimOf(repository))
      tokens.add(held.token)
      t.equal(await next.publish(held, { kind: 'nothing' }), true)
    }
    await servers[master]!.command('REPLICAOF', '127.0.0.1', String(servers[replica]!.port))
    await t.rejects(old.change('r'), /READONLY/, 'a master that was demoted accepts no change')
    ;[master, replica] = [replica, master]
  }
})

t.test('a master with too few replicas refuses to read, too', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  const engine = await openEngine(t, server.address)
  await server.command('CONFIG', 'SET', 'min-replicas-to-write', '1')
  await t.rejects(epochOf(engine, 'r'), /NOREPLICAS/)
  await t.rejects(engine.claim(claimOf('r')), /NOREPLICAS/)
})

t.test('a server without memory changes nothing by halves', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  const engine = await openEngine(t, server.address)
  const before = await epochOf(engine, 'r')
  await server.command('CONFIG', 'SET', 'maxmemory', '1')
  await t.rejects(engine.openLease(leaseOf('r')), /OOM/)
  await t.rejects(engine.change('r'), /OOM/)
  await server.command('CONFIG', 'SET', 'maxmemory', '0')
  t.strictSame(await epochOf(engine, 'r'), before)
  t.same(await engine.leases(), [])
})

t.test('each key may be evicted alone', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  const engine = await openEngine(t, server.address)
  const incarnations = new Unique(t)
  for (const key of ['{fleet:r}:record', '{fleet:r}:leases']) {
    const lease = leaseOf('r')
    const held = await grant(t, engine, claimOf('r'))
    await engine.openLease(lease)
    await engine.change('r')
    const before = await epochOf(engine, 'r')
    incarnations.add(before.incarnation)
    t.equal(await server.command('DEL', key), '1')
    const after = await epochOf(engine, 'r')
    incarnations.add(after.incarnation)
    t.equal(after.open, key.endsWith('record') ? 1 : 0)
    t.equal(await engine.publish(held, entry), false)
    await engine.endLease(lease.id, 'changed')
    await grant(t, engine, { ...claimOf('r'), node: held.node })
    await server.command('FLUSHALL')
  }
  const lease = leaseOf('r')
  await engine.openLease(lease)
  const before = await epochOf(engine, 'r')
  await server.command('DEL', '{fleet:r}:bodies')
  t.same(await engine.leases(), [], 'a lease without its body')
  t.equal(await engine.renewLease(lease.id), undefined)
  t.match(await epochOf(engine, 'r'), { ...before, open: 0, changes: 1 }, 'has ended with a change')
})

t.test('records of other versions', { skip: skipRedis }, async (t) => {
  const server = await startRedis(t)
  const engine = await openEngine(t, server.address)
  const claim = claimOf('r')
  await engine.publish(await grant(t, engine, claim), entry)
  await server.command('HSET', '{fleet:r}:entry:key', 'entry', '{"length":5,"colour":"red"}', 'x', 'y')
  t.match(
    await engine.claim(claim),
    { kind: 'published', entry: { length: 5 } },
    'what is unknown is ignored',
  )
  for (const bad of ['{"length":-1}', '{"length":1,"sha256":"../.."}', 'x']) {
    await server.command('HSET', '{fleet:r}:entry:key', 'entry', bad)
    await t.rejects(engine.claim(claim), { name: 'UnknownRecord' })
  }
  await engine.openLease(leaseOf('r'))
  const second = leaseOf('r')
  await engine.openLease(second)
  await server.command('HSET', '{fleet:r}:bodies', second.id, '5\n{}')
  t.equal((await engine.leases()).length, 1)
  await t.rejects(engine.renewLease(second.id), { name: 'UnknownRecord' })
  const hints: unknown[] = []
  engine.watch((hint) => hints.push(hint))
  await eventually('it listens', async () => (await server.command('PUBLISH', '{fleet:}:hints', 'x')) === '1')
  for (const message of ['', 'key r', 'key r ', 'colour r k', 'key ../.. k', 'key r k'])
    await server.command('PUBLISH', '{fleet:}:hints', message)
  await eventually('the last hint', () => hints.length > 0)
  t.same(hints, [{ kind: 'key', repository: 'r', key: 'k' }])
})
