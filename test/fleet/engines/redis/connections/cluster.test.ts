import t from 'tap'
import { slotOf } from '../../../../../src/fleet/engines/redis/connections/slots.js'
import { openEngine, untilAnswers } from '../../../../support/fleet/redis-engines.js'
import { skipRedis, startCluster, type RedisServer } from '../../../../support/fleet/redis.js'

const claim = { key: 'k', state: 's', node: 'a', ttlMs: 60_000 }

/** Finds a repository on each server. */
const repositories = [0, 1, 2].map((index) => {
  for (let tries = 0; ; tries++) {
    const slot = slotOf(`{fleet:r${tries}}`)
    if (Math.floor((slot * 3) / 16_384) === index) return { repository: `r${tries}`, slot }
  }
})

const idOf = ({ command }: RedisServer): Promise<string> => command('CLUSTER', 'MYID')

t.test('a cluster', { skip: skipRedis }, async (t) => {
  const { address, servers } = await startCluster(t)
  const engine = await openEngine(t, address)
  const [one, two] = repositories.map(({ repository }) => repository) as [string, string]
  const [from, to] = servers as [RedisServer, RedisServer]
  const { slot } = repositories[0]!

  await t.test('a slot that is moving, and has moved', async (t) => {
    const ids = await Promise.all([idOf(from), idOf(to)])
    /** Moves the keys of a slot; the returned function ends the move. */
    const move = async (slot: number): Promise<() => Promise<void>> => {
      await to.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', ids[0])
      await from.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', ids[1])
      const keys = (await from.command('CLUSTER', 'GETKEYSINSLOT', String(slot), '100')).split('\n')
      await from.command('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...keys)
      return async () => {
        for (const { command } of [to, from])
          await command('CLUSTER', 'SETSLOT', String(slot), 'NODE', ids[1])
      }
    }
    await engine.change(one)
    const before = await engine.epochs([one, two])
    const endMove = await move(slot)
    await t.rejects(engine.change(one), /TRYAGAIN/, 'a server without all keys of a script refuses it')
    await endMove()
    await engine.change(one)
    t.match(await engine.claim({ ...claim, repository: one }), { kind: 'granted' })
    const after = await engine.epochs([one, two])
    t.not(after[0]!.incarnation, before[0]!.incarnation, 'its incarnation is of the new server')
    t.equal(after[0]!.changes, before[0]!.changes + 1)
    t.equal(after[1]!.incarnation, before[1]!.incarnation)

    // A script with one key goes on while its slot moves.
    const members = slotOf('fleet:')
    t.equal(Math.floor((members * 3) / 16_384), 0, 'the members are on the first server')
    t.same(await engine.beat('a', 60_000), ['a'])
    const endNext = await move(members)
    t.same(await engine.beat('b', 60_000), ['a', 'b'], 'the engine is sent on')
    await endNext()
    t.same(await engine.beat('b', 60_000), ['a', 'b'])
  })

  await t.test('a server that is killed, and comes back', async (t) => {
    const [, lost] = await engine.epochs([one, two])
    await servers[2]!.kill()
    const third = repositories[2]!.repository
    await t.rejects(engine.epochs([third]))
    await t.rejects(engine.epochs([third]))
    t.strictSame((await engine.epochs([two]))[0], lost, 'the others go on')
    await servers[2]!.start()
    await untilAnswers(engine)
    t.match(await engine.claim({ ...claim, repository: third }), { kind: 'granted' })
  })

  await t.test('an address that is no longer of the cluster', async () => {
    const gone = { host: '127.0.0.1', port: 1 }
    const late = await openEngine(t, { ...address, hosts: [gone, address.hosts[0]!] })
    await late.change(one)
  })
})
