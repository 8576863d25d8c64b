import t from 'tap'
import { Members } from '../../src/fleet/members.js'
import { Counted } from '../support/fleet/counted.js'
import { VirtualClock } from '../support/fleet/virtual-clock.js'

function rig(configured = ['a', 'b', 'c']) {
  const clock = new VirtualClock()
  const counted = new Counted()
  const calls: string[] = []
  const engine = {
    live: ['a', 'b'] as string[] | Error,
    beat: async (node: string, ttlMs: number): Promise<string[]> => {
      calls.push(`beat ${node} ${ttlMs} at ${clock.now() - 1000}`)
      if (engine.live instanceof Error) throw engine.live
      return engine.live
    },
    leave: async (node: string): Promise<void> => void calls.push(`leave ${node}`),
  }
  const members = new Members({ engine, node: 'a', configured, clock, metrics: counted.metrics })
  return { clock, counted, calls, engine, members }
}

t.test('a node gives a sign of life every 3 s, and leaves when it ends', async (t) => {
  const { clock, counted, calls, members } = rig()
  t.same(members.live, ['a', 'b', 'c'], 'at first all count as alive')
  await members.start()
  t.same(members.live, ['a', 'b'])
  t.equal(counted.counts.members, 2)
  await clock.pass(6500)
  await members.close()
  await clock.pass(10_000)
  t.same(calls, ['beat a 10000 at 0', 'beat a 10000 at 3000', 'beat a 10000 at 6000', 'leave a'])
  t.equal(clock.timers, 0)
})

t.test('if the engine is away, all that are configured count as alive', async (t) => {
  const { clock, engine, members } = rig()
  await members.start()
  engine.live = new Error('away')
  await clock.pass(3500)
  t.same(members.live, ['a', 'b', 'c'])
  engine.live = ['b']
  await clock.pass(3000)
  t.same(members.live, ['a', 'b'], 'this node is alive, whatever the engine says')
  engine.leave = () => Promise.reject(new Error('away'))
  await members.close()
})

t.test('leaving waits for a sign of life under way, which would undo it', async (t) => {
  const { calls, engine, members } = rig()
  let answer = (): void => {}
  engine.beat = () => new Promise((resolve) => (answer = () => resolve(['a'])))
  members.start()
  const closed = members.close()
  t.same(calls, [])
  answer()
  await closed
  t.same(calls, ['leave a'])
})

t.test('all nodes prefer the same one for a key, and one that goes moves only its own keys', async (t) => {
  const all = ['a', 'b', 'c', 'd']
  const { engine, members } = rig(all)
  engine.live = all
  await members.start()
  const keys = Array.from({ length: 400 }, (_, index) => `key${index}`)
  const before = keys.map((key) => members.preferred(key))
  for (const name of ['a', 'b', 'c', 'd']) {
    const count = before.filter((preferred) => preferred === name).length
    t.ok(count > 60 && count < 140, `${name} is preferred for ${count} keys of 400`)
  }
  engine.live = ['d', 'c', 'a']
  await members.start()
  keys.forEach((key, index) => {
    const preferred = members.preferred(key)
    if (before[index] === 'b' ? preferred === 'b' : preferred !== before[index]) t.fail(`${key} has moved`)
  })
  await members.close()
})

t.test('names that are not among the members are no members, whatever the engine says', async (t) => {
  const { counted, engine, members } = rig()
  engine.live = ['a', 'stranger', 'b', 'x'.repeat(10_000)]
  await members.start()
  t.same(members.live, ['a', 'b'])
  t.equal(counted.counts.members, 2)
  await members.close()
})

t.test('a sign of life at once, when the engine answers again, takes the place of the next', async (t) => {
  const { calls, clock, engine, members } = rig()
  engine.live = new Error('away')
  await members.start()
  await clock.pass(1000)
  engine.live = ['a', 'b']
  await members.start()
  t.same(members.live, ['a', 'b'])
  await clock.pass(2500)
  t.same(calls, ['beat a 10000 at 0', 'beat a 10000 at 1000'], 'no second row of them')
  await members.close()
  t.equal(clock.timers, 0)
})

t.test('a node that is about to end is no member any more, and keeps its fill leases', async (t) => {
  const { calls, clock, members } = rig()
  await members.start()
  await members.retire()
  await members.start()
  await clock.pass(5000)
  t.same(calls, ['beat a 10000 at 0', 'beat a 1 at 0'])
  await members.close()
  t.same(calls.slice(2), ['leave a'])
})
