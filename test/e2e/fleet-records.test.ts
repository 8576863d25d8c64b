import t, { type Test } from 'tap'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { PeerClient } from '../../src/fleet/peers/client/peer-client.js'
import { OriginFaults } from '../../src/origin/peers/fault-codec.js'
import { createLog } from '../../src/telemetry/log.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { eventually } from '../support/eventually.js'
import { skipEtcd, startEtcd } from '../support/fleet/etcd.js'
import { startFleet, type SpawnedFleet } from '../support/fleet/nodes.js'
import { skipRedis, startRedis } from '../support/fleet/redis.js'
import { ask, infoRefs } from '../support/http-client.js'
import { git, makeRepository } from '../support/repositories.js'
import { tempDir } from '../support/temp-dir.js'

/** Two nodes that are asked after each change of a repository: what the engine says must not change the answers. */
async function setUp(t: Test, engine: string) {
  const root = tempDir(t)
  const repositories = ['r.git', 'leased.git'].map((name) => makeRepository(root, name))
  const args = ['--freshness', 'leased.git=lease']
  const fleet = await startFleet(t, { root, engine, count: 2, args })
  await eventually('the engine is there', async () => (await fleet.metric('refstream_fleet_engine_up')) === 2)
  const stranger = createServer().listen(0, '127.0.0.1')
  t.teardown(() => stranger.close())
  await once(stranger, 'listening')
  let connections = 0
  stranger.on('connection', (socket) => {
    connections++
    socket.destroy()
  })
  let changes = 0
  /** Changes both repositories, and asks both nodes for them. @returns the statuses that are not 200, and old answers */
  const answers = async (): Promise<string[]> => {
    const name = `refs/heads/change-${++changes}`
    for (const repository of repositories) git(repository, 'update-ref', name, 'refs/heads/main')
    const told = await ask(`${fleet.nodes[changes % 2]!.adminUrl}/v1/invalidate`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ repository: 'leased.git' }),
    })
    if (told.status !== 204) return [`invalidate: ${told.status} ${told.body.toString()}`]
    const asked = fleet.nodes.flatMap(({ url }) =>
      ['r.git', 'leased.git'].map(async (path) => {
        const { status, body } = await ask(infoRefs(url, path))
        if (status !== 200) return [`${path}: ${status}`]
        return body.includes(`${name}\n`) ? [] : [`${path}: an old answer`]
      }),
    )
    return (await Promise.all(asked)).flat()
  }
  return {
    fleet,
    answers,
    strangerName: `127.0.0.1:${(stranger.address() as AddressInfo).port}`,
    connections: () => connections,
    isUp: async () => (await fleet.metric('refstream_fleet_engine_up')) === 2,
  }
}

/** Bytes of the longest log line of nodes. */
const longestLine = (fleet: SpawnedFleet): number =>
  Math.max(...fleet.nodes.flatMap(({ log }) => log.map((line) => JSON.stringify(line).length)))

const odd = `\u001b[31m\r\nX-Injected: 1\u0007${'long '.repeat(10_000)}`
const hour = '3600000'
const lies = { length: 3, sha256: 'ab'.repeat(32), path: '/etc/passwd' }

t.test(
  'records in Redis that are of other versions, or lie',
  { skip: skipRedis, timeout: 120_000 },
  async (t) => {
    const redis = await startRedis(t)
    const rig = await setUp(t, `redis://127.0.0.1:${redis.port}`)
    const { fleet, answers } = rig
    t.same(await answers(), [])
    const keys = (await redis.command('KEYS', '*')).split('\n')
    const entries = keys.filter((key) => key.includes(':entry:'))
    t.ok(entries.length > 0)
    const incarnationOf = async (entry: string): Promise<string> =>
      (await redis.command('HGET', entry, 'token')).replace(/\.\d+$/, '')
    const poison = async (what: string, ...commands: string[][]): Promise<void> => {
      for (const command of commands) await redis.command(...command)
      t.same(await answers(), [], what)
      t.ok(await rig.isUp(), `${what}: the engine is still asked`)
    }
    for (const entry of entries.slice(0, 1)) {
      const [fill, failure] = ['fill', 'failure'].map((kind) => entry.replace(':entry:', `:${kind}:`))
      const record = entry.replace(/:entry:.*$/, ':record')
      const put = (node: string, json: string): string[][] => [
        ['HSET', entry, 'state', '=settled', 'token', 'other.1', 'node', node, 'entry', json],
      ]
      await poison('an unknown member', ...put('zz', '{"length":5}'))
      await poison('a stranger', ...put(rig.strangerName, '{"length":5}'))
      await poison(
        'a path, a length, a digest',
        ...put('a', JSON.stringify(lies)),
        ...put('b', JSON.stringify(lies)),
      )
      for (const json of ['{"v":2,"length":{"bytes":5}}', odd])
        await poison(`an entry of another form`, ...put('a', json))
      await poison('an entry of another type', ['DEL', entry], ['SET', entry, '{"v":2}'])
      await poison('it is gone', ['DEL', entry])
      const token = `${await incarnationOf(entry)}.99`
      for (const node of ['zz', 'b', rig.strangerName])
        await poison(
          `a lease without a time limit, of ${node}`,
          ['DEL', entry, fill!],
          ['HSET', fill!, 'token', token, 'node', node],
        )
      const failed = JSON.stringify({ attempt: 1, code: odd, message: odd })
      await poison(
        'a failure for an hour',
        ['HSET', failure!, 'state', '', 'failure', failed],
        ['PEXPIRE', failure!, hour],
      )
      await poison(
        'a failure for ever',
        ['HSET', failure!, 'state', '', 'failure', failed],
        ['PERSIST', failure!],
      )
      await poison(
        'a failure of another form',
        ['HSET', failure!, 'state', '', 'failure', '{"v":9}'],
        ['PEXPIRE', failure!, '5000'],
      )
      await redis.command('HSET', failure!, 'failure', failed)
      await redis.command('PEXPIRE', failure!, '20000')
      const [, refused = ''] = await answers()
      t.match(refused, /\.git: 503|^$/, 'a failure that is in force')
      await poison('it is gone', ['DEL', failure!])
      for (const value of ['-5', 'many', '9007199254740993']) {
        const fields = ['changes', 'openings', 'fence', 'birth'].flatMap((field) => [field, value])
        await poison(`counts are ${value}`, ['HSET', record, ...fields])
      }
      await poison('the count of open leases is odd', ['HSET', record, 'open', odd])
      await poison('a record of another type', ['DEL', record], ['SET', record, '{"v":2}'])
      await poison('it is gone', ['DEL', record])
    }
    for (const record of keys.filter((key) => key.endsWith(':record'))) {
      await poison('changes are no number', ['HSET', record, 'changes', 'many'])
      await poison('a record of another type', ['DEL', record], ['SET', record, '{"v":2}'])
      await redis.command('DEL', record)
    }
    for (const message of ['', odd, 'key', `epoch ../../x `, `key ${'k'.repeat(70)} x`, '{"v":2}'])
      await redis.command('PUBLISH', '{refstream:}:hints', message || 'x')
    for (const name of ['zz', rig.strangerName, 'of a newer version', odd])
      await redis.command('ZADD', '{refstream:}:members', '9999999999999', name)
    await fleet.nodes[1]!.stop()
    await fleet.restart(1)
    await eventually(
      'the members are known',
      async () => (await fleet.nodes[1]!.metric('refstream_fleet_members')) === 2,
    )
    t.same(await answers(), [], 'after odd hints and members')

    await redis.command(
      'EVAL',
      `for i = 1, 100000 do redis.call('ZADD', KEYS[1], 9999999999999, 'repository-' .. i .. '.' .. string.rep('x', 22)) end`,
      '1',
      '{refstream:}:leases',
    )
    const began = performance.now()
    const listed = await ask(`${fleet.nodes[0]!.adminUrl}/v1/leases`)
    t.equal(listed.status, 200)
    t.ok(performance.now() - began < 5000, 'a list of 100,000 leases')
    t.same(await answers(), [])
    t.equal(rig.connections(), 0, 'no stranger was connected to')
    t.ok(longestLine(fleet) < 8192, `log lines of ${longestLine(fleet)} characters`)
  },
)

t.test(
  'records in etcd that are of other versions, or lie',
  { skip: skipEtcd, timeout: 120_000 },
  async (t) => {
    const etcd = await startEtcd(t)
    const rig = await setUp(t, `etcd://127.0.0.1:${etcd.port}`)
    const { fleet, answers } = rig
    t.same(await answers(), [])
    const keys = etcd.control('get', '--prefix', 'refstream/', '--keys-only').split('\n').filter(Boolean)
    const entry = keys.find((key) => key.startsWith('refstream/fill/') && key.endsWith('/entry'))!
    const [lease, failure] = ['lease', 'failure'].map((kind) => entry.replace(/entry$/, kind))
    const repository = entry.split('/')[2]!
    const poison = async (what: string, ...puts: (readonly [string, unknown])[]): Promise<void> => {
      for (const [key, value] of puts)
        etcd.control('put', '--', key, typeof value === 'string' ? value : JSON.stringify(value))
      t.same(await answers(), [], what)
      t.ok(await rig.isUp(), `${what}: the engine is still asked`)
    }
    const made = { v: 1, token: '5.x', state: 'settled', entry: { length: 5 } }
    await poison('an unknown member', [entry, { ...made, node: 'zz' }])
    await poison('a stranger', [entry, { ...made, node: rig.strangerName }])
    await poison('a path, a length, a digest', [entry, { ...made, node: 'a', entry: lies }])
    for (const value of [
      { ...made, v: 2, node: 'a' },
      [],
      'x',
      { ...made, node: 'a', entry: { length: 'x' } },
    ])
      await poison('an entry of another form', [entry, value])
    for (const node of ['zz', rig.strangerName, 'b'])
      await poison(`a lease of ${node}`, [lease!, { v: 1, nonce: 'n', node, ttlMs: 1e308 }])
    await poison('a lease of another form', [lease!, { v: 2, holder: 'a' }])
    const failed = {
      v: 1,
      token: '5.x',
      ttlMs: 3_600_000,
      failure: { attempt: 1, code: 'x', message: odd },
    }
    await poison('a failure for an hour', [failure!, failed])
    await poison('a failure of another form', [failure!, { v: 2, ttlMs: 5000 }])
    await poison(
      'members and leases of other forms',
      ['refstream/member/zz', { v: 1, ttlMs: 1e308 }],
      ['refstream/member/of a newer version', { v: 2 }],
      [`refstream/lease/${repository}.x`, 'x'],
      ['refstream/repository/x/y/z', 'x'],
      ['refstream/colour', 'red'],
    )
    await poison('an incarnation of another form', ['refstream/incarnation', 'long '.repeat(10_000)])
    t.equal(rig.connections(), 0, 'no stranger was connected to')
    t.ok(longestLine(fleet) < 8192, `log lines of ${longestLine(fleet)} characters`)
  },
)

t.test(
  'questions and messages of other versions are refused, and harm nothing',
  { skip: skipRedis },
  async (t) => {
    const redis = await startRedis(t)
    const { fleet, answers } = await setUp(t, `redis://127.0.0.1:${redis.port}`)
    const client = new PeerClient({
      node: 'b',
      members: [{ name: 'a', path: fleet.peerOf(0).slice('unix:'.length) }],
      secret: fleet.secret,
      codec: new OriginFaults(),
      metrics: new Metrics(),
      log: createLog('silent'),
    })
    t.teardown(() => client.close())
    const { signal } = new AbortController()
    const asked = { kind: 'advertisement', version: 2 }
    const known = { origin: 'disk', path: 'r.git', repository: 'x', asked }
    for (const question of [
      {},
      { ...known, colour: 'red' },
      { ...known, asked: { kind: 'commit-graph' } },
      { ...known, origin: 'tape' },
      { ...known, path: '../../etc' },
      { ...known, path: odd.slice(0, 100) },
      { ...known, asked: { ...asked, version: 9 } },
    ])
      await t.rejects(client.ask('a', question, { signal }), /./, JSON.stringify(question).slice(0, 100))
    for (const message of [
      {},
      { about: 'weather' },
      { about: 'leases', do: 'paint' },
      { about: 'leases', do: 'open' },
    ])
      await client.tell(message)
    t.same(await answers(), [])
  },
)
