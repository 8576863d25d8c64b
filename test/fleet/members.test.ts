import t from 'tap'
import { Members } from '../../src/fleet/members.js'
import { Counted } from '../support/fleet/counted.js'
import { VirtualClock } from '../support/fleet/virtual-clock.js'

function rig() {
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
  const configured = ['a', 'b', 'c']
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
  t.same(members.live, ['b', 'a'], 'this node is alive, whatever the engine says')
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
  const { engine, members } = rig()
  engine.live = ['a', 'b', 'c', 'd']
  await members.start()
  const keys = Array.from({ length: 400 }, (_, index) => `key${index}`)
  const before = keys.map((key) => members.preferred(key))
  for (const name of ['a', 'b', 'c', 'd']) {
    const count = before.filter((preferred) => preferred === name).length
    t.ok(count > 60 && count < 140, `${name} is preferred for ${count} keys of 400`)
  }
  await members.close()
  engine.live = ['d', 'c', 'a']
  await members.start()
  keys.forEach((key, index) => {
    const preferred = members.preferred(key)
    if (before[index] === 'b' ? preferred === 'b' : preferred !== before[index]) t.fail(`${key} has moved`)
  })
  await members.close()
})
