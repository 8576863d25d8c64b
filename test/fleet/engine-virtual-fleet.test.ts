import fc from 'fast-check'
import t from 'tap'
import { VirtualFleet } from './virtual/virtual-fleet.js'

const max = (values: Iterable<number>): number => Math.max(0, ...values)

t.test('1,000 nodes: one fill for each state, and few operations of the engine', async (t) => {
  const fleet = new VirtualFleet({ nodes: 1000, seed: 1, fillMs: 4000 })
  fleet.ask('k', 3, 2000)
  await fleet.time.run(8000)
  t.same([...fleet.fills], [['k/0', 1]])
  t.equal(fleet.answers, 3000)
  const cold = fleet.operations
  t.equal(cold, 1000 + 2, 'a claim by each node, a renewal, and a publish')
  fleet.ask('k', 20, 10_000)
  await fleet.time.run(12_000)
  t.equal(fleet.operations, cold, 'no operation for what each node has')
  t.equal(fleet.answers, 23_000)
  const rate = (requests: number): string => (cold / requests).toFixed(3)
  t.comment(
    `${rate(3000)} operations per request while it fills, ${rate(23_000)} with 20 more requests to each node`,
  )
  t.comment(`${fleet.beats} heartbeats in 20 s`)
})

t.test('1,000 nodes: a maker that dies is replaced within some round trips', async (t) => {
  const fleet = new VirtualFleet({ nodes: 1000, seed: 2, fillMs: 4000 })
  fleet.ask('k', 2, 1000)
  for (const ms of [2000, 3000]) fleet.time.after(ms, () => fleet.maker('k')!.die())
  await fleet.time.run(20_000)
  t.equal(fleet.fills.get('k/0'), 3, 'one more for each')
  t.equal(fleet.answers, 2000 - 4)
  t.same(
    fleet.takeovers.map(({ how }) => how),
    ['died', 'died'],
  )
  const slowest = max(fleet.takeovers.map(({ ms }) => ms))
  t.ok(slowest < 10, `taken over after ${slowest} ms`)
  t.comment(`${fleet.operations} operations for ${fleet.requests} requests; taken over after ${slowest} ms`)
})

t.test(
  '1,000 nodes: a maker that hangs is replaced when its lease has ended, and its publish is refused',
  async (t) => {
    const fleet = new VirtualFleet({ nodes: 1000, seed: 3, fillMs: 4000 })
    fleet.ask('k', 2, 1000)
    fleet.time.after(2000, () => fleet.maker('k')!.hang(20_000))
    await fleet.time.run(40_000)
    t.equal(fleet.fills.get('k/0'), 2)
    t.equal(fleet.losers, 1)
    t.equal(fleet.answers, 2000)
    const [{ how, ms } = { how: 'none', ms: 0 }] = fleet.takeovers
    t.equal(how, 'hung')
    t.ok(ms > 6000 && ms < 11_300, `taken over after ${ms} ms`)
    t.comment(`${fleet.operations} operations for ${fleet.requests} requests; taken over after ${ms} ms`)
  },
)

t.test('any fleet: fills are bounded by the nodes that were lost, and nothing is stale', async (t) => {
  const loss = fc.record({
    atMs: fc.nat(20_000),
    hangs: fc.boolean(),
    hangMs: fc.integer({ min: 10, max: 30_000 }),
  })
  const fleets = fc.record({
    nodes: fc.oneof(fc.integer({ min: 4, max: 30 }), fc.integer({ min: 4, max: 150 })),
    seed: fc.nat(0xffff),
    fillMs: fc.integer({ min: 1, max: 8000 }),
    changeMs: fc.option(fc.integer({ min: 5000, max: 20_000 }), { nil: undefined }),
    keys: fc.integer({ min: 1, max: 4 }),
    // With more, nodes that have been failed three times make fills alone.
    losses: fc.array(loss, { maxLength: 2 }),
  })
  const figures = { fleets: 0, requests: 0, operations: 0, fills: 0, states: 0, died: 0, hung: 0 }
  await fc.assert(
    fc.asyncProperty(fleets, async ({ keys, losses, changeMs, ...options }) => {
      const fleet = new VirtualFleet({ ...options, ...(changeMs !== undefined && { changeMs }) })
      for (let key = 0; key < keys; key++) fleet.ask(`k${key}`, 3, 15_000)
      let [deaths, hangs] = [0, 0]
      for (const { atMs, hangs: isHang, hangMs } of losses) {
        fleet.time.after(atMs, () => {
          const maker = fleet.maker('k0')
          if (!maker) return
          if (isHang) maker.hang(hangMs)
          else maker.die()
          if (isHang) hangs++
          else deaths++
        })
      }
      await fleet.time.run(120_000)
      for (const [fill, count] of fleet.fills) {
        const lost = fleet.losses.get(fill) ?? 0
        if (count > 1 + lost) throw new Error(`${count} fills of ${fill}, ${lost} losses`)
      }
      if (fleet.stale > 0) throw new Error('a stale answer')
      if (deaths === 0 && fleet.answers !== fleet.requests) throw new Error('a request waits forever')
      for (const { how, ms } of fleet.takeovers) {
        // A node that was to take over may be lost as well.
        if (deaths + hangs > 1) break
        if (ms > (how === 'died' ? 10 : 11_300)) throw new Error(`${how}: taken over after ${ms} ms`)
        figures[how] = Math.max(figures[how], ms)
      }
      figures.fleets++
      figures.requests += fleet.requests
      figures.operations += fleet.operations
      figures.states += fleet.fills.size
      for (const count of fleet.fills.values()) figures.fills += count
    }),
    { numRuns: 20 },
  )
  t.comment(JSON.stringify(figures))
})
