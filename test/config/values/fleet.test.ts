import t from 'tap'
import { availableParallelism } from 'node:os'
import { engineUrl, fleetMember, nodeName, workerCount } from '../../../src/config/values/fleet.js'

const none = { username: undefined, password: undefined, path: undefined }

t.test('the URL of an engine', async (t) => {
  t.same(engineUrl.parse('redis://10.0.0.1'), {
    ...{ kind: 'redis', tls: false, hosts: [{ host: '10.0.0.1', port: 6379 }] },
    ...none,
  })
  t.same(engineUrl.parse('rediss://app:p%40ss%3A@db.example:6380/3'), {
    ...{ kind: 'redis', tls: true, hosts: [{ host: 'db.example', port: 6380 }] },
    ...{ username: 'app', password: 'p@ss:', path: '3' },
  })
  t.same(engineUrl.parse('redis+sentinel://:secret@a,b:1/main'), {
    ...{ kind: 'redis-sentinel', tls: false },
    hosts: [
      { host: 'a', port: 26_379 },
      { host: 'b', port: 1 },
    ],
    ...{ username: undefined, password: 'secret', path: 'main' },
  })
  t.same(engineUrl.parse('etcds://[fd00::1]:2379,h/'), {
    ...{ kind: 'etcd', tls: true },
    hosts: [
      { host: 'fd00::1', port: 2379 },
      { host: 'h', port: 2379 },
    ],
    ...none,
  })
})

t.test('what is no engine’s URL', async (t) => {
  const bad = [
    'http://h',
    'redis:/h',
    'redis://',
    'redis://h:99999',
    'redis://h:0',
    'redis://a,b',
    'redis://h/x',
    'redis+sentinel://h',
    'etcd://h/x',
    'redis+cluster://h/1',
    'redis://u:%zz@h',
    'redis://h/1?x=y',
    'toString://h',
  ]
  for (const value of bad) t.notOk(engineUrl.safeParse(value).success, value)
})

t.test('members, names and workers', async (t) => {
  t.same(fleetMember.parse('a-1=https://10.0.0.1:8090'), { name: 'a-1', url: 'https://10.0.0.1:8090' })
  t.same(fleetMember.parse('b=unix:/run/b.sock'), { name: 'b', url: 'unix:/run/b.sock' })
  for (const value of [
    'a',
    'a=unix:x',
    'a=10.0.0.1:1',
    'a b=http://h',
    'a=http://h/x',
    'a=http://u@h',
    'a=http://h?x',
  ])
    t.notOk(fleetMember.safeParse(value).success, value)
  t.ok(nodeName.safeParse('node_1-x').success)
  for (const value of ['', 'a.b', 'x'.repeat(65)]) t.notOk(nodeName.safeParse(value).success, value)
  t.equal(workerCount.parse('auto'), availableParallelism())
  t.equal(workerCount.parse('64'), 64)
  t.equal(workerCount.parse(2), 2)
  for (const value of ['0', '65', '-1', '1.5', 'many']) t.notOk(workerCount.safeParse(value).success, value)
})
