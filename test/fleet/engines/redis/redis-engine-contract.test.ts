import t from 'tap'
import type { Test } from 'tap'
import { readFileSync } from 'node:fs'
import type { EngineAddress } from '../../../../src/config/values/fleet.js'
import type { RedisEngineOptions } from '../../../../src/fleet/engines/redis/open.js'
import { Authority } from '../../../support/certificates.js'
import { openEngines, randomName } from '../../../support/fleet/redis-engines.js'
import {
  replicate,
  skipRedis,
  startCluster,
  startRedis,
  startSentinels,
  type RedisServer,
} from '../../../support/fleet/redis.js'
import { engineContract, type OpenStore } from '../../engine-contract.js'

/** Most of the time is spent waiting for time limits: the stores are tested at the same time. */
t.jobs = 4
const options = () => ({ skip: skipRedis, buffered: true })

/** All tests of one store share its clients. */
async function contract(
  t: Test,
  address: EngineAddress,
  servers: readonly RedisServer[],
  options: Partial<RedisEngineOptions> = {},
): Promise<void> {
  const engines = await openEngines(t, address, options)
  const open = (): Promise<OpenStore> =>
    Promise.resolve({
      engines,
      flush: async () => {
        await Promise.all(servers.map(({ command }) => command('FLUSHALL')))
      },
      close: () => Promise.resolve(),
    })
  await engineContract(t, open, { shortMs: 400, lateMs: 20, histories: 5 })
}

t.test('a server', options(), async (t) => {
  const server = await startRedis(t)
  const address = { ...server.address, path: '3' }
  const leasesMax = 20
  const open = async (): Promise<OpenStore> => {
    const engines = await openEngines(t, address, { leasesMax, fleet: randomName() })
    const close = async (): Promise<void> => {
      await Promise.all(engines.map((engine) => engine.close()))
    }
    return { engines, close }
  }
  await engineContract(t, open, { shortMs: 400, lateMs: 20, histories: 25, leasesMax })

  t.test('keeps nothing for ever', async (t) => {
    t.match(await server.command('INFO', 'keyspace'), /db3:/)
    t.notMatch(await server.command('INFO', 'keyspace'), /db0:/)
    const script =
      "local left = {} for i, key in ipairs(redis.call('KEYS', '*')) do left[i] = redis.call('PTTL', key) end return left"
    const left = (await server.command('-n', '3', 'EVAL', script, '0')).split('\n').map(Number)
    t.ok(left.length > 100 && left.every((ms) => ms > 0 && ms <= 31 * 86_400_000))
  })
})

/** What docs/fleet.md tells operators to permit. */
const permitted = [
  '~{fleet:* &{fleet:* +ping +eval +evalsha +subscribe +publish +info +time +select',
  '+hget +hmget +hset +hdel +hincrby +del +pexpire +pttl',
  '+zadd +zrem +zcard +zscore +zrange +zrangebyscore +zremrangebyscore',
].join(' ')

t.test('a server with TLS and users', options(), async (t) => {
  const authority = new Authority(t)
  const pair = authority.issue({ san: 'IP:127.0.0.1' })
  const users = [`user refstream on >s3cret:p@ss -@all ${permitted}`]
  const server = await startRedis(t, { tls: { ...pair, ca: authority.cert }, users })
  const own = authority.issue({ name: 'node' })
  const tls = {
    ca: readFileSync(authority.cert),
    cert: readFileSync(own.cert),
    key: readFileSync(own.key),
  }
  await contract(t, { ...server.address, username: 'refstream', password: 's3cret:p@ss' }, [server], { tls })
})

t.test('Sentinel', options(), async (t) => {
  const [master, replica] = await Promise.all([startRedis(t), startRedis(t)])
  await replicate(replica, master)
  const { address } = await startSentinels(t, master)
  await contract(t, address, [master])
})

t.test('a cluster', options(), async (t) => {
  const { address, servers } = await startCluster(t)
  await contract(t, { ...address, hosts: address.hosts.slice(1, 2) }, servers)
})
