import t from 'tap'
import type { Test } from 'tap'
import { openRedisEngine } from '../../../../../src/fleet/engines/redis/open.js'
import { eventually } from '../../../../support/eventually.js'
import { openEngine, untilAnswers } from '../../../../support/fleet/redis-engines.js'
import {
  replicate,
  skipRedis,
  startRedis,
  startSentinels,
  type RedisServer,
} from '../../../../support/fleet/redis.js'

async function startPair(t: Test): Promise<[RedisServer, RedisServer]> {
  const [master, replica] = await Promise.all([startRedis(t), startRedis(t)])
  await replicate(replica, master)
  return [master, replica]
}

const replicasOf = (command: RedisServer['command']): Promise<void> =>
  eventually('the sentinel knows the replica', async () =>
    /num-slaves\s+1/.test(await command('SENTINEL', 'MASTER', 'main')),
  )

t.test('a master that is replaced in order', { skip: skipRedis }, async (t) => {
  const [master] = await startPair(t)
  const { address, command } = await startSentinels(t, master)
  const engine = await openEngine(t, address)
  await replicasOf(command)
  const [before] = await engine.epochs(['r'])
  await eventually('the fail-over begins', async () =>
    (await command('SENTINEL', 'FAILOVER', 'main')).startsWith('OK'),
  )
  await eventually('the new master answers', async () => {
    const [after] = await engine.epochs(['r']).catch(() => [])
    return after !== undefined && after.incarnation !== before!.incarnation
  })
  await engine.change('r')
})

t.test('a master that hangs', { skip: skipRedis }, async (t) => {
  const [master] = await startPair(t)
  const { address, command } = await startSentinels(t, master)
  const engine = await openEngine(t, address)
  await replicasOf(command)
  const [before] = await engine.epochs(['r'])
  master.pause()
  // Its connections do not end; what brings the engine to the new master is that Sentinel names it.
  const unanswered = engine.change('r')
  unanswered.catch(() => {})
  await untilAnswers(engine)
  await t.rejects(unanswered, /Sentinel names another master/)
  const [after] = await engine.epochs(['r'])
  t.not(after!.incarnation, before!.incarnation)
  master.resume()
})

t.test('sentinels that demand a password, and some that are away', { skip: skipRedis }, async (t) => {
  const user = ['user refstream on >secret ~* &* +@all']
  const master = await startRedis(t, { users: user })
  const lines = [
    ...['sentinel auth-user main refstream', 'sentinel auth-pass main secret'],
    ...['user default off', 'user refstream on >secret ~* &* +@all'],
  ]
  const { address } = await startSentinels(t, master, { lines, user: 'refstream', password: 'secret' })
  const hosts = [{ host: '127.0.0.1', port: 1 }, ...address.hosts]
  await openEngine(t, { ...address, hosts, username: 'refstream', password: 'secret' })
  const errors: string[] = []
  const other = await openRedisEngine({
    address: { ...address, path: 'other', username: 'refstream', password: 'secret' },
    fleet: 'fleet',
    changed: (error) => error && errors.push(error.message),
  })
  t.teardown(() => other.close())
  await eventually('it says why', () => errors.some((error) => /knows no master named other/.test(error)))
})
