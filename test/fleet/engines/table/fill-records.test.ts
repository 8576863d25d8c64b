import t from 'tap'
import { publishedMs, type FleetEntry } from '../../../../src/fleet/engine.js'
import { FillRecords, recentMs } from '../../../../src/fleet/engines/table/fill-records.js'
import { FakeClock } from '../../../support/fake-clock.js'

const ttlMs = 1_000_000
const entry = { length: 5 }

const someRecords = (recordsMax?: number) => {
  const clock = new FakeClock()
  const changes: string[] = []
  let tokens = 0
  const records = new FillRecords({
    clock,
    token: () => `${++tokens}`,
    changed: (repository, key) => changes.push(`${repository}/${key}`),
    recordsMax,
  })
  const claim = (key: string, node = 'a', rob?: string) =>
    records.claim({ repository: 'r', key, state: 's', node, ttlMs, ...(rob !== undefined && { rob }) })
  const take = (key: string, node = 'a') => {
    const answer = claim(key, node)
    if (answer.kind !== 'granted') throw new Error(answer.kind)
    return { repository: 'r', key, node, token: answer.token, ttlMs }
  }
  const publish = (key: string, made: FleetEntry = entry, node = 'a'): boolean =>
    records.publish(take(key, node), { kind: 'entry', state: 's', entry: made })
  return { clock, changes, records, claim, take, publish }
}

t.test('records that are not in use are given up, the least recently used ones first', async (t) => {
  const { clock, records, claim, publish } = someRecords(3)
  for (const key of ['k1', 'k2', 'k3']) publish(key)
  clock.advance(recentMs)
  t.match(claim('k1', 'b'), { kind: 'published' })
  publish('k4')
  t.equal(records.size, 3)
  t.match(claim('k1', 'b'), { kind: 'published' }, 'it was used lately')
  t.match(claim('k3', 'b'), { kind: 'published' })
  t.match(claim('k4', 'b'), { kind: 'published' })
  t.match(claim('k2', 'b'), { kind: 'granted' }, 'given up')
})

t.test('records that are in use stay, up to twice the number', async (t) => {
  const { records, take, publish, claim } = someRecords(3)
  const holds = [take('k1'), take('k2')]
  publish('k3')
  const failing = take('k4')
  const failure = { state: 's', attempt: 1, code: 'c', message: 'm' }
  t.equal(records.publish(failing, { kind: 'failure', failure, ttlMs }), true)
  publish('k5')
  publish('k6')
  t.equal(records.size, 6, 'leases, failures in force and recent entries')
  t.match(claim('k3', 'b'), { kind: 'published' })
  t.match(claim('k4', 'b'), { kind: 'failed' })
  t.equal(records.renew(holds[0]!), true)
  publish('k7')
  publish('k8')
  t.equal(records.size, 6)
  t.equal(records.publish(holds[1]!, { kind: 'nothing' }), false, 'its lease was given up, and is lost')
  t.equal(records.renew(holds[0]!), true, 'a lease that was renewed is not the oldest record')
})

t.test('records in use are given up later, when they no longer are', async (t) => {
  const { clock, records, take, publish } = someRecords(2)
  for (const key of ['k1', 'k2', 'k3', 'k4']) take(key)
  t.equal(records.size, 4)
  clock.advance(ttlMs)
  publish('k5')
  t.equal(records.size, 2)
})

t.test('many keys', async (t) => {
  const { records, publish } = someRecords(100)
  for (let key = 0; key < 10_000; key++) publish(`k${key}`)
  t.equal(records.size, 200)
})

t.test('an entry is forgotten some time after it was published', async (t) => {
  const { clock, claim, publish } = someRecords()
  publish('k')
  clock.advance(publishedMs - 1)
  t.match(claim('k', 'b'), { kind: 'published' })
  clock.advance(1)
  t.match(claim('k', 'b'), { kind: 'granted' })
})

t.test('a node that leaves takes its entries along, but not files that others may open', async (t) => {
  const { records, claim, publish, take, changes } = someRecords()
  publish('memory')
  publish('digested', { length: 5, sha256: 'ab' })
  publish('file', { length: 5, sha256: 'ab', path: '/f' })
  publish('of-another', entry, 'b')
  take('lease')
  changes.length = 0
  records.leave('a')
  t.same(changes.sort(), ['r/digested', 'r/lease', 'r/memory'], 'those who wait are told')
  t.match(claim('memory', 'c'), { kind: 'granted' })
  t.match(claim('digested', 'c'), { kind: 'granted' })
  t.match(claim('lease', 'c'), { kind: 'granted' })
  t.match(claim('file', 'c'), { kind: 'published' })
  t.match(claim('of-another', 'c'), { kind: 'published' })
})

t.test('those who wait are told when a lease changes hands, and only then', async (t) => {
  const { records, claim, take, changes } = someRecords()
  const held = take('k')
  claim('k', 'b')
  records.renew(held)
  t.same(changes, [])
  claim('k', 'b', held.token)
  t.same(changes, ['r/k'], 'it was robbed')
  records.publish(held, { kind: 'nothing' })
  t.same(changes, ['r/k'], 'a late publish changes nothing')
  take('k', 'b')
  t.same(changes, ['r/k', 'r/k'], 'a new lease of the same node')
})
