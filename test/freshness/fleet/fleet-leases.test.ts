import t from 'tap'
import { turns } from '../../support/producers.js'
import { openLeaseNodes, type LeaseNodes } from '../../support/fleet/lease-nodes.js'

/** Returns the status at a node of what has happened until now. */
async function observe({ nodes, subject }: LeaseNodes, node: number, name = 'r') {
  await nodes[node]!.leases.refresh(subject(node, name))
  return nodes[node]!.leases.statusOf(subject(node, name))
}

t.test('a lease that is opened on one node is seen, renewed and ended on another', async (t) => {
  const fleet = openLeaseNodes(3, t)
  const [one, two] = [fleet.nodes[0]!.leases, fleet.nodes[1]!.leases]
  const before = await observe(fleet, 2)
  t.match(before, { open: 0, openings: 0, changes: 0 })
  const lease = await one.open('/root0/r', 60_000, 'why')
  t.match(lease, { repository: '/root0/r', reason: 'why', ttlMs: 60_000 })
  t.match(await observe(fleet, 2), { open: 1, openings: 1, changes: 0 })
  t.match(await two.list(), [{ id: lease.id, repository: '/root1/r', reason: 'why' }])
  t.match(await two.renew(lease.id, 70_000), { id: lease.id, ttlMs: 70_000 })
  t.match(await two.end(lease.id, 'changed'), { id: lease.id, repository: '/root1/r' })
  const after = await observe(fleet, 2)
  t.match(after, { open: 0, openings: 1, changes: 1, incarnation: before.incarnation })
  t.same((await observe(fleet, 0)).shared, after.shared, 'names are equal on all nodes')
  t.not(after.shared?.changes, before.shared?.changes)
  t.equal(await two.end(lease.id, 'changed'), undefined, 'it ends once')
  t.equal(await one.renew(lease.id), undefined)
  t.equal(await one.end('no id', 'changed'), undefined)
  await turns(10)
  for (const { changed } of fleet.nodes.slice(0, 3).filter((_, node) => node !== 1)) t.same(changed, ['r'])
})

t.test('each change is reported once on every node that knows the repository', async (t) => {
  const fleet = openLeaseNodes(2, t)
  await observe(fleet, 0)
  await observe(fleet, 1)
  await fleet.nodes[0]!.leases.invalidate('/root0/r')
  await turns(10)
  t.same(
    fleet.nodes.map(({ changed }) => changed),
    [['r'], ['r']],
  )
  t.match(fleet.nodes[1]!.leases.statusOf('/root1/r'), { changes: 1 }, 'hints are enough')
})

t.test('refreshes are coalesced over callers and repositories', async (t) => {
  const { engine, nodes } = openLeaseNodes(1, t)
  const all = Array.from({ length: 500 }, async (_, count) =>
    nodes[0]!.leases.refresh(`/root0/${count % 50}`),
  )
  await Promise.all(all)
  t.same(engine.calls, ['epochs'])
  const first = nodes[0]!.leases.refresh('/root0/a')
  await turns(1)
  const later = Array.from({ length: 500 }, async (_, count) =>
    nodes[0]!.leases.refresh(`/root0/${count % 50}`),
  )
  await Promise.all([first, ...later])
  t.same(engine.calls, ['epochs', 'epochs', 'epochs'])
})

t.test('who is content with hints asks once, and a lost hint is made up for later', async (t) => {
  const fleet = openLeaseNodes(2, t)
  const { leases } = fleet.nodes[0]!
  await leases.refresh('/root0/r', 'once')
  t.equal(leases.refresh('/root0/r', 'once'), undefined)
  t.match(leases.statusOf('/root0/r'), { open: 0, changes: 0 })
  fleet.engine.hints = false
  await fleet.nodes[1]!.leases.invalidate('/root1/r')
  await turns(10)
  t.match(leases.statusOf('/root0/r'), { changes: 0 })
  fleet.clock.advance(10_001)
  leases.statusOf('/root0/r')
  fleet.clock.advance(1000)
  await turns(10)
  t.match(leases.statusOf('/root0/r'), { changes: 1 })
})

t.test('while the engine is away a lease is open, and counts advance only if they have', async (t) => {
  const fleet = openLeaseNodes(2, t)
  const [one, two] = [fleet.nodes[0]!, fleet.nodes[1]!]
  t.match(await observe(fleet, 0), { open: 0, changes: 0 })
  one.link.state = 'away'
  t.match(await observe(fleet, 0), { open: 1, changes: 0 })
  one.link.state = 'up'
  t.match(await observe(fleet, 0), { open: 0, changes: 0 }, 'the same counts')
  one.link.state = 'away'
  await two.leases.invalidate('/root1/r')
  one.link.state = 'up'
  t.match(await observe(fleet, 0), { open: 0, changes: 1 }, 'other counts')
  const before = await observe(fleet, 0)
  fleet.engine.flush()
  const after = await observe(fleet, 0)
  t.match(
    after,
    { open: 1, changes: 2 },
    'another incarnation; other nodes may hold leases that it does not know',
  )
  t.not(after.incarnation, before.incarnation)
  fleet.clock.advance(25_001)
  t.match(await observe(fleet, 0), { open: 0, changes: 2 })
})

t.test('what was used before the first answer of the engine may be older than what that shows', async (t) => {
  const fleet = openLeaseNodes(1, t)
  const { leases } = fleet.nodes[0]!
  const before = leases.statusOf('/root0/r')
  t.match(before, { open: 1, changes: 0 })
  const after = await observe(fleet, 0)
  t.match(after, { open: 0, changes: 1 })
  t.not(after.incarnation, before.incarnation)
})

t.test(
  'without the engine, nodes tell each other, and a node that has the engine sees the change',
  async (t) => {
    const fleet = openLeaseNodes(3, t)
    const { leases, link } = fleet.nodes[0]!
    const before = await observe(fleet, 1)
    link.state = 'away'
    const lease = await leases.open('/root0/r', 60_000)
    t.match(await observe(fleet, 1), { open: 1, openings: 1 })
    t.match(await leases.list(), [{ id: lease.id }])
    t.match(await fleet.nodes[1]!.leases.list(), [{ id: lease.id, repository: '/root1/r' }])
    fleet.clock.advance(40_000)
    await leases.renew(lease.id)
    fleet.clock.advance(40_000)
    t.match(await observe(fleet, 1), { open: 1, changes: 0 }, 'renewed')
    await leases.end(lease.id, 'changed')
    const after = await observe(fleet, 1)
    t.match(after, { open: 0, changes: 1 })
    t.not(after.shared?.changes, before.shared?.changes, 'what has the earlier name does not answer')
    link.state = 'up'
    fleet.clock.advance(1000)
    await turns(20)
    const told = await Promise.all([0, 1, 2].map((node) => observe(fleet, node)))
    t.same(new Set(told.map(({ shared }) => JSON.stringify(shared))).size, 1, 'names are equal again')
    t.match(told[0]?.shared?.changes, /^\d+$/)
  },
)

t.test('a lease that was opened without the engine becomes one of the engine', async (t) => {
  const fleet = openLeaseNodes(2, t)
  const { leases, link } = fleet.nodes[0]!
  link.state = 'away'
  const { id } = await leases.open('/root0/r', 60_000)
  link.state = 'up'
  fleet.clock.advance(1000)
  await turns(20)
  const late = fleet.start()
  await late.leases.refresh('/root2/r')
  t.match(late.leases.statusOf('/root2/r'), { open: 1 })
  t.match(await late.leases.end(id, 'unchanged'), { id })
  t.match(await observe(fleet, 1), { open: 0 })
})

t.test('a node that starts meanwhile is told of the leases that the engine does not know', async (t) => {
  const fleet = openLeaseNodes(2, t)
  fleet.nodes[0]!.link.state = 'away'
  await fleet.nodes[0]!.leases.open('/root0/r', 60_000)
  const late = fleet.start()
  late.reachable = false
  await turns(10)
  // As soon as it listens, since it can be told nothing before.
  late.reachable = true
  await late.leases.greet()
  await turns(10)
  await late.leases.refresh('/root2/r')
  t.match(late.leases.statusOf('/root2/r'), { open: 1 })
})

t.test('a lease that is seldom renewed is not forgotten either, if its node is not asked', async (t) => {
  const fleet = openLeaseNodes(2, t)
  const { id } = await fleet.nodes[0]!.leases.open('/root0/r', 600_000)
  await observe(fleet, 1)
  fleet.engine.flush()
  for (let seconds = 0; seconds < 60; seconds++) {
    fleet.clock.advance(1000)
    await turns(10)
    t.ok((await observe(fleet, 1)).open > 0, `after ${seconds} s`)
  }
  await fleet.nodes[0]!.leases.end(id, 'unchanged')
  t.match(await observe(fleet, 1), { open: 0 })
})

t.test(
  'a lease for which an engine without its memory has no room keeps nothing else from being known',
  async (t) => {
    const fleet = openLeaseNodes(2, t)
    await fleet.nodes[0]!.leases.open('/root0/r', 60_000)
    await observe(fleet, 0)
    fleet.engine.flush()
    fleet.engine.leasesMax = 0
    await observe(fleet, 0)
    t.match(await observe(fleet, 0, 'other'), { open: 0 })
  },
)

t.test('a mutator does not begin if neither the engine nor all nodes know of it', async (t) => {
  const fleet = openLeaseNodes(3, t)
  const { leases, link } = fleet.nodes[0]!
  await observe(fleet, 1)
  link.state = 'away'
  fleet.nodes[2]!.reachable = false
  await t.rejects(leases.open('/root0/r', 60_000), { name: 'FleetUnreachable' })
  await t.rejects(leases.invalidate('/root0/r'), { name: 'FleetUnreachable' })
  await t.rejects(leases.renew(`${'a'.repeat(43)}.${'b'.repeat(22)}`), { name: 'FleetUnreachable' })
  await turns(10)
  t.match(await observe(fleet, 1), { open: 0 }, 'those that had heard of the lease hear of its end')
  const { changes } = await observe(fleet, 2)
  link.state = 'up'
  fleet.clock.advance(1000)
  await turns(20)
  t.ok((await observe(fleet, 2)).changes > changes, 'the engine is told of the change as soon as it answers')
})

t.test('the engine does not forget a lease that is held, even if it loses its memory', async (t) => {
  const fleet = openLeaseNodes(2, t)
  const { id } = await fleet.nodes[0]!.leases.open('/root0/r', 60_000)
  await observe(fleet, 1)
  fleet.engine.flush()
  fleet.clock.advance(20_000)
  t.match(await observe(fleet, 1), { open: 1 })
  t.match(await fleet.nodes[0]!.leases.renew(id), { id, ttlMs: 60_000 })
  fleet.clock.advance(25_001)
  t.match(await observe(fleet, 1), { open: 1 })
  await fleet.nodes[1]!.leases.end(id, 'changed')
  t.equal(
    await fleet.nodes[0]!.leases.renew(id),
    undefined,
    'what another node has ended is not entered anew',
  )
})

t.test('a lease that is entered anew keeps its time limit, whichever node renews it', async (t) => {
  const fleet = openLeaseNodes(2, t)
  const [one, two] = [fleet.nodes[0]!, fleet.nodes[1]!]
  const { id } = await one.leases.open('/root0/r', 60_000)
  fleet.clock.advance(20_000)
  fleet.engine.flush()
  await observe(fleet, 0)
  await observe(fleet, 0)
  const [listed] = await two.leases.list()
  t.match(listed, { id, ttlMs: 60_000 })
  t.ok(listed!.expiresAt.getTime() - Date.now() <= 40_000, 'it expires when it would have')
  t.match(await two.leases.renew(id), { id, ttlMs: 60_000 })
})

t.test('a node that is told late of a lease knows its time limit', async (t) => {
  const fleet = openLeaseNodes(1, t)
  fleet.nodes[0]!.link.state = 'away'
  const { id } = await fleet.nodes[0]!.leases.open('/root0/r', 60_000)
  fleet.clock.advance(40_000)
  const late = fleet.start()
  late.link.state = 'away'
  await late.leases.greet()
  await turns(10)
  const [listed] = await late.leases.list()
  t.match(listed, { id, ttlMs: 60_000 })
  t.ok(listed!.expiresAt.getTime() - Date.now() <= 20_000)
  t.match(await late.leases.renew(id), { id, ttlMs: 60_000 })
})

/** What may take some turns of the event loop: the engine forgets, or is reached again, in each of them. */
const moments = Array.from({ length: 30 }, (_, count) => count)

/** Returns the leases that the engine has, by another node than the one that has opened them. */
async function counted(fleet: LeaseNodes) {
  await turns(30)
  return (await fleet.nodes[1]!.leases.list()).map(({ id, ttlMs, expiresAt }) => ({
    ...{ id, ttlMs },
    leftMs: Math.round((expiresAt.getTime() - Date.now()) / 1000) * 1000,
  }))
}

t.test('an engine that loses its memory while a lease is opened', async (t) => {
  for (const moment of moments) {
    const fleet = openLeaseNodes(2, t)
    const opening = fleet.nodes[0]!.leases.open('/root0/r', 60_000)
    await turns(moment)
    fleet.engine.flush()
    const { id } = await opening
    for (let seconds = 0; seconds < 10; seconds++) {
      fleet.clock.advance(1000)
      await turns(10)
    }
    t.match(await counted(fleet), [{ id, ttlMs: 60_000 }], `after ${moment} turns, it is entered anew`)
    t.match(await fleet.nodes[0]!.leases.renew(id), { id, ttlMs: 60_000 })
  }
})

t.test('a lease is renewed while it is entered with the engine', async (t) => {
  for (const moment of moments)
    for (const isDirect of [false, true]) {
      const fleet = openLeaseNodes(2, t)
      const { leases, link } = fleet.nodes[0]!
      if (isDirect) link.state = 'away'
      const { id } = await leases.open('/root0/r', 60_000)
      fleet.clock.advance(40_000)
      await turns(30)
      if (!isDirect) fleet.engine.flush()
      link.state = 'up'
      const seen = leases.refresh('/root0/r')?.then(() => leases.refresh('/root0/r'))
      await turns(moment)
      t.match(await leases.renew(id), { id, ttlMs: 60_000 })
      await seen
      t.strictSame(
        await counted(fleet),
        [{ id, ttlMs: 60_000, leftMs: 60_000 }],
        `after ${moment} turns${isDirect ? ', opened without the engine' : ''}`,
      )
    }
})

t.test('a lease is ended while it is entered with the engine', async (t) => {
  for (const moment of moments)
    for (const isDirect of [false, true]) {
      const fleet = openLeaseNodes(2, t)
      const { leases, link } = fleet.nodes[0]!
      if (isDirect) link.state = 'away'
      const { id } = await leases.open('/root0/r', 60_000)
      if (!isDirect) fleet.engine.flush()
      link.state = 'up'
      const seen = leases.refresh('/root0/r')?.then(() => leases.refresh('/root0/r'))
      await turns(moment)
      t.match(await leases.end(id, 'changed'), { id })
      await seen
      const how = `after ${moment} turns${isDirect ? ', opened without the engine' : ''}`
      t.strictSame(await counted(fleet), [], how)
      fleet.clock.advance(25_001)
      t.match(await observe(fleet, 1), { open: 0 }, how)
    }
})

t.test('the end of a lease that the engine has lost counts as a change on all nodes', async (t) => {
  const fleet = openLeaseNodes(2, t)
  const { id } = await fleet.nodes[0]!.leases.open('/root0/r', 60_000)
  fleet.engine.flush()
  // This node has not known the repository before: nothing tells it that another one holds a lease.
  const before = await observe(fleet, 1)
  t.match(await fleet.nodes[0]!.leases.end(id, 'changed'), { id })
  const after = await observe(fleet, 1)
  t.equal(after.changes, before.changes + 1)
  t.equal(await fleet.nodes[0]!.leases.end(id, 'changed'), undefined, 'it ends once')
})

t.test('too many leases', async (t) => {
  const fleet = openLeaseNodes(1, t)
  fleet.engine.leasesMax = 1
  await fleet.nodes[0]!.leases.open('/root0/r', 60_000)
  await t.rejects(fleet.nodes[0]!.leases.open('/root0/r', 60_000), { name: 'TooManyLeases' })
  t.equal(fleet.nodes[0]!.leases.size, 1)
})

t.test('messages about something else, or of another version, are ignored', async (t) => {
  const fleet = openLeaseNodes(1, t)
  for (const message of [
    null,
    {},
    { about: 'leases', do: 'new' },
    { about: 'leases', do: 'open', lease: { id: 'x' } },
  ])
    t.doesNotThrow(() => fleet.nodes[0]!.leases.heard(message))
})
