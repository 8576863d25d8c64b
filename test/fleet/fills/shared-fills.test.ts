import t from 'tap'
import { FillFailedElsewhere } from '../../../src/fleet/fill-failed-elsewhere.js'
import { PeerRefused } from '../../../src/fleet/peers/peer.js'
import { FillError } from '../../../src/streamcache/index.js'
import { bytesOf } from '../../support/producers.js'
import { paced, stateNow, VirtualFleet, type VirtualNode } from '../../support/fleet/virtual-node.js'
import { idle } from '../../support/fleet/virtual-clock.js'

const bytes = bytesOf(1, 0, 100_000)
const other = bytesOf(2, 0, 100_000)

/** A fleet whose nodes make the same bytes in a second. */
async function fleetOf(names: string, options: ConstructorParameters<typeof VirtualFleet>[0] = {}) {
  const fleet = new VirtualFleet(options)
  const producer = paced(fleet.clock, bytes, 10_000, 100)
  const nodes = new Map<string, VirtualNode>()
  for (const name of names) nodes.set(name, await fleet.add(name, producer))
  const [a, b, c] = [nodes.get('a')!, nodes.get('b')!, nodes.get('c')!]
  const close = () => Promise.all([...nodes.values()].map((node) => (node.fills.close(), node.gate.close())))
  return { fleet, clock: fleet.clock, a, b, c, close }
}

t.test('three nodes make an entry once, and followers get bytes while it grows', async (t) => {
  const { fleet, clock, a, b, c, close } = await fleetOf('abc')
  const entries = [a, b, c].map((node) => node.read())
  await clock.pass(350)
  t.ok(entries[2]!.bytes.length >= 20_000, 'the third node has bytes before the end')
  t.equal(entries[0]!.fill.isBorrowed, false)
  t.equal(entries[1]!.fill.isBorrowed, true)
  for (const entry of entries) t.ok((await clock.until(entry.whole())).equals(bytes))
  t.equal(fleet.runs, 1)
  t.match(a.counted.counts, { 'claims.granted': 1 })
  t.match(b.counted.counts, { 'claims.held': 1, 'borrowed.peer': 1 })
  t.same(b.notes, [{ from: 'a' }])
  const late = await fleet.add('d', paced(clock, other, 1000, 1))
  t.ok((await clock.until(late.read().whole())).equals(bytes), 'a published entry is asked for')
  t.match(late.counted.counts, { 'claims.published': 1, 'borrowed.peer': 1 })
  t.equal(fleet.runs, 1)
  t.same(a.counted.counts['takeovers.unreachable'], undefined)
  await close()
})

t.test('a lease is renewed while its fill runs, and no longer than the limit', async (t) => {
  const { clock, a, b, close } = await fleetOf('ab', { limitMs: 60_000 })
  a.producer = paced(clock, bytes, 1000, 10_000)
  a.read()
  await clock.pass(35_000)
  t.match(await b.reached.engine.claim({ ...a.keyDigests, node: 'b', state: stateNow, ttlMs: 1 }), {
    kind: 'held',
  })
  await clock.pass(26_000)
  t.match(await b.reached.engine.claim({ ...a.keyDigests, node: 'b', state: stateNow, ttlMs: 1 }), {
    kind: 'granted',
  })
  t.ok(a.reached.calls.filter((call) => call === 'renew').length > 10)
  a.kill()
  await close()
})

t.test(
  'the holder is killed: its followers have the rest within half a second, from one new run',
  async (t) => {
    const { fleet, clock, a, b, c, close } = await fleetOf('abc')
    a.read()
    await clock.pass(10)
    const [ofB, ofC] = [b.read(), c.read()]
    await clock.pass(500)
    const before = ofB.bytes.length
    t.ok(before > 0 && before < bytes.length)
    // The new run is quick, so that only the takeover takes time.
    b.producer = c.producer = paced(clock, bytes, 10_000, 1)
    a.kill()
    const killed = clock.now()
    while (ofB.bytes.length === before || ofC.bytes.length === before) await clock.pass(5)
    t.ok(clock.now() - killed < 500, `a gap of ${clock.now() - killed} ms`)
    t.ok((await clock.until(ofB.whole())).equals(bytes))
    t.ok((await clock.until(ofC.whole())).equals(bytes))
    t.equal(fleet.runs, 2)
    t.equal(
      (b.counted.counts['takeovers.unreachable'] ?? 0) + (c.counted.counts['takeovers.unreachable'] ?? 0),
      2,
    )
    await close()
  },
)

t.test('the new run makes other bytes: an error, and nothing more', async (t) => {
  const { clock, a, b, close } = await fleetOf('ab')
  a.read()
  await clock.pass(10)
  const entry = b.read()
  await clock.pass(500)
  b.producer = paced(clock, other, 10_000, 1)
  a.kill()
  await t.rejects(clock.until(entry.whole()), FillError)
  t.ok(bytes.subarray(0, entry.bytes.length).equals(entry.bytes))
  await close()
})

t.test('a pack that breaks after its first byte fails; before, it is made anew', async (t) => {
  const { fleet, clock, a, b, close } = await fleetOf('ab')
  a.read({ repeatable: false })
  await clock.pass(10)
  const entry = b.read({ repeatable: false })
  await clock.pass(40)
  a.kill()
  b.producer = paced(clock, other, 10_000, 1)
  t.ok((await clock.until(entry.whole())).equals(other))
  const d = await fleet.add('d', paced(clock, bytes, 10_000, 100))
  b.kept = undefined
  b.producer = paced(clock, bytes, 10_000, 100)
  const [again, broken] = [b.read({ repeatable: false }), d.read({ repeatable: false })]
  await clock.pass(250)
  t.ok(broken.bytes.length > 0)
  const runs = fleet.runs
  b.kill()
  await t.rejects(clock.until(broken.whole()), { name: 'FillError', fault: 'producer' })
  t.equal(fleet.runs, runs)
  t.equal(again.state !== 'whole', true)
  await close()
})

t.test('a holder that hangs is outwaited; when it goes on, its publish is refused', async (t) => {
  const { fleet, clock, a, b, c, close } = await fleetOf('abc')
  a.read()
  await clock.pass(10)
  const [ofB, ofC] = [b.read(), c.read()]
  await clock.pass(500)
  a.mode = 'silent'
  a.reached.reach = 'cut'
  const stopped = clock.now()
  t.ok((await clock.until(ofB.whole())).equals(bytes))
  t.ok((await clock.until(ofC.whole())).equals(bytes))
  const tookMs = clock.now() - stopped
  t.ok(tookMs > 9000 && tookMs < 12_500, `took ${tookMs} ms`)
  t.equal(fleet.runs, 2)
  t.equal(b.counted.counts['takeovers.silent'], 1)
  a.mode = 'up'
  a.reached.reach = 'up'
  // The gate asks the engine again after its next probe.
  await clock.pass(3000)
  t.equal(a.ends.length, 1)
  t.match(await a.reached.engine.claim({ ...a.keyDigests, node: 'x', state: stateNow, ttlMs: 1 }), {
    kind: 'published',
    node: ofB.fill.isBorrowed ? 'c' : 'b',
  })
  await close()
})

t.test('a lost lease does not stop a run, and its publish is a loser', async (t) => {
  const { clock, a, b, close } = await fleetOf('ab')
  a.producer = paced(clock, bytes, 10_000, 1000)
  const entry = a.read()
  await clock.pass(1500)
  const claimed = await b.reached.engine.claim({ ...a.keyDigests, node: 'b', state: stateNow, ttlMs: 60_000 })
  if (claimed.kind !== 'held') return t.fail('it is held')
  await b.reached.engine.claim({
    ...a.keyDigests,
    node: 'b',
    state: stateNow,
    ttlMs: 60_000,
    rob: claimed.token,
  })
  t.ok((await clock.until(entry.whole())).equals(bytes))
  await idle()
  t.equal(a.counted.counts.losers, 1)
  await close()
})

t.test('a silent node that has published is robbed at once', async (t) => {
  const { clock, a, b, close } = await fleetOf('ab')
  await clock.until(a.read().whole())
  a.mode = 'silent'
  const began = clock.now()
  t.ok((await clock.until(b.read().whole())).equals(bytes))
  t.ok(clock.now() - began < 4500)
  t.match(b.counted.counts, { 'claims.published': 1, 'claims.granted': 1, 'takeovers.silent': 1 })
  await close()
})

t.test('a node that does not have what it has published makes it again for those who ask', async (t) => {
  const { fleet, clock, a, b, close } = await fleetOf('ab')
  await clock.until(a.read().whole())
  a.kept = undefined
  t.ok((await clock.until(b.read().whole())).equals(bytes))
  t.same([a.runs, b.runs], [2, 0])
  a.kept = b.kept = undefined
  t.ok((await clock.until(a.read().whole())).equals(bytes), 'its own record does not hold it up')
  t.equal(fleet.runs, 3)
  await close()
})

t.test('for another node, a fill is made here or refused', async (t) => {
  const { fleet, clock, a, b, c, close } = await fleetOf('abc')
  a.read()
  await clock.pass(50)
  const refused = b.read({ fromPeer: true })
  const error: unknown = await clock.until(refused.whole()).catch((error: unknown) => error)
  t.match(error, { name: 'FillError', cause: { name: 'PeerRefused', why: 'elsewhere' } })
  await clock.pass(2000)
  const published = c.read({ fromPeer: true })
  t.match(await clock.until(published.whole()).catch((error: unknown) => error), { cause: PeerRefused })
  t.equal(fleet.runs, 1)
  a.reached.reach = b.reached.reach = 'away'
  t.ok((await clock.until(b.read({ fromPeer: true }).whole())).equals(bytes), 'alone, it is made here')
  await close()
})

t.test(
  'a failure is told to followers as it is, and is answered by all nodes until it may be tried again',
  async (t) => {
    const { fleet, clock, a, b, c, close } = await fleetOf('abc')
    // eslint-disable-next-line require-yield
    a.producer = async function* () {
      await clock.wait(500)
      throw new Error('git has failed')
    }
    a.retryAfterMs = 5000
    a.read()
    await clock.pass(10)
    const ofB = b.read({ retries: 3 })
    t.match(await clock.until(ofB.whole()).catch((error: unknown) => error), {
      name: 'FillError',
      fault: 'producer',
      message: 'git has failed',
      cause: { fault: { code: 'fault' } },
    })
    t.equal(fleet.runs, 1, 'the follower does not try again')
    await clock.pass(1000)
    const error: unknown = await clock.until(c.read({ retries: 3 }).whole()).catch((error: unknown) => error)
    t.match(error, { name: 'FillError', cause: FillFailedElsewhere })
    const { code, message, attempt, retryAfterMs } = (error as { cause: FillFailedElsewhere }).cause
    t.match([code, message, attempt], ['fault', 'git has failed', 1])
    t.ok(retryAfterMs > 3500 && retryAfterMs <= 4100, `${retryAfterMs}`)
    t.equal(c.counted.counts['claims.failed'], 1)
    t.equal(fleet.runs, 1)
    t.ok(
      (await clock.until(c.read({ state: 'state-2' }).whole())).equals(bytes),
      'another state is another matter',
    )
    await close()
  },
)

t.test(
  'a failure does not count where it is known to be of an earlier state, and one node tries again',
  async (t) => {
    const { fleet, clock, a, b, c, close } = await fleetOf('abc')
    const { producer } = a
    // eslint-disable-next-line require-yield
    a.producer = async function* () {
      await clock.wait(500)
      throw new Error('git has failed')
    }
    a.retryAfterMs = 60_000
    await t.rejects(clock.until(a.read().whole()))
    await t.rejects(clock.until(c.read().whole()), { cause: FillFailedElsewhere })
    a.producer = producer
    const entries = [a, b].map((node) => node.read({ isRepaired: true }))
    for (const entry of entries) t.ok((await clock.until(entry.whole())).equals(bytes))
    t.equal(fleet.runs, 2)
    t.ok((await clock.until(c.read().whole())).equals(bytes), 'the failure is over for all')
    t.equal(fleet.runs, 2)
    await close()
  },
)

t.test('a failure is over when its time has passed', async (t) => {
  const { clock, a, c, close } = await fleetOf('ac')
  // eslint-disable-next-line require-yield
  a.producer = async function* () {
    await clock.wait(500)
    throw new Error('git has failed')
  }
  a.retryAfterMs = 5000
  await t.rejects(clock.until(a.read().whole()))
  await t.rejects(clock.until(c.read().whole()), { cause: FillFailedElsewhere })
  await clock.pass(5000)
  t.ok((await clock.until(c.read().whole())).equals(bytes))
  await close()
})

t.test(
  'a failure that may be tried again at once is not published, nor is one of a borrowed fill',
  async (t) => {
    const { fleet, clock, a, b, c, close } = await fleetOf('abc')
    // eslint-disable-next-line require-yield
    a.producer = async function* () {
      await clock.wait(500)
      throw new Error('git has failed')
    }
    b.retryAfterMs = 5000
    a.read()
    await clock.pass(10)
    await t.rejects(clock.until(b.read().whole()))
    t.match(b.ends, [{ kind: 'failure', retryAfterMs: 5000 }])
    t.ok((await clock.until(c.read().whole())).equals(bytes))
    t.equal(fleet.runs, 2)
    await close()
  },
)

t.test('a run that fails is repeated under the same lease', async (t) => {
  const { clock, a, b, close } = await fleetOf('ab')
  let runs = 0
  a.producer = async function* (signal) {
    const fails = runs++ === 0
    for await (const chunk of paced(clock, bytes, 10_000, 10)(signal)) {
      yield chunk
      if (fails) throw new Error('once')
    }
  }
  const entry = a.read({ retries: 1 })
  await clock.pass(5)
  const ofB = b.read()
  // The engine of entries waits by the real clock.
  while (entry.state === 'growing') {
    await clock.pass(1)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  t.ok(entry.bytes.equals(bytes))
  t.ok((await clock.until(ofB.whole())).equals(bytes))
  t.equal(a.counted.counts['claims.granted'], 1)
  t.equal(runs, 2)
  await close()
})

t.test('an engine that is away leaves each node alone', async (t) => {
  const { fleet, clock, a, b, close } = await fleetOf('ab')
  a.reached.reach = 'cut'
  b.reached.reach = 'away'
  const entries = [a.read(), b.read()]
  for (const entry of entries) t.ok((await clock.until(entry.whole())).equals(bytes))
  t.equal(fleet.runs, 2)
  t.equal(a.counted.counts['claims.alone'], 1)
  t.ok(clock.now() < 2500)
  await close()
})

t.test('a claim that was granted too late is released, so that others need not wait for it', async (t) => {
  const { clock, a, b, close } = await fleetOf('ab')
  a.producer = paced(clock, bytes, 1000, 1000)
  a.reached.reach = 'mute'
  a.read()
  await clock.pass(300)
  t.match(a.counted.counts, { 'claims.alone': 1 })
  a.reached.answer()
  await idle()
  t.match(await b.reached.engine.claim({ ...a.keyDigests, node: 'b', state: stateNow, ttlMs: 1 }), {
    kind: 'granted',
  })
  a.kill()
  await close()
})

t.test('a claim waits for what this node is publishing of the same key', async (t) => {
  const { clock, a, close } = await fleetOf('a')
  const publish = a.gate.publish.bind(a.gate)
  a.gate.publish = async (held, outcome) => {
    await clock.wait(200)
    return publish(held, outcome)
  }
  await clock.until(a.read({ keep: false }).whole())
  a.reached.calls.length = 0
  await clock.until(a.read().whole())
  t.match(a.reached.calls, ['publish', 'claim'])
  await clock.pass(300)
  t.equal(a.counted.counts.losers, undefined)
  await close()
})

t.test('what was not kept sends waiters to a run of their own', async (t) => {
  const { fleet, clock, a, b, close } = await fleetOf('ab')
  await clock.until(a.read({ keep: false }).whole())
  await idle()
  t.ok((await clock.until(b.read().whole())).equals(bytes))
  t.equal(fleet.runs, 2)
  const unnamed = await fleetOf('ab')
  await unnamed.clock.until(unnamed.a.read({ state: undefined }).whole())
  await unnamed.clock.until(unnamed.b.read({ state: undefined }).whole())
  t.equal(unnamed.fleet.runs, 2, 'an entry without a state is not published')
  await unnamed.close()
  await close()
})

t.test('nodes that refuse are asked a few times; then the fill runs here', async (t) => {
  const { clock, a, b, close } = await fleetOf('ab')
  a.producer = paced(clock, bytes, 1000, 1000)
  a.read()
  await clock.pass(10)
  const read = a.read.bind(a)
  a.read = () => {
    throw new PeerRefused('elsewhere')
  }
  const began = clock.now()
  t.ok((await clock.until(b.read().whole())).equals(bytes))
  t.ok(clock.now() - began < 4000)
  t.equal(a.refused, 6)
  t.equal(b.counted.counts['takeovers.refused'], 6)
  t.equal(b.counted.counts.losers, undefined, 'the holder was not robbed')
  a.read = read
  a.kill()
  await close()
})

t.test('a node that means another repository is not asked twice, and keeps its record', async (t) => {
  const { clock, a, b, c, close } = await fleetOf('abc')
  await clock.until(a.read().whole())
  const read = a.read.bind(a)
  a.read = () => {
    throw new PeerRefused('different')
  }
  t.ok((await clock.until(b.read().whole())).equals(bytes))
  t.equal(a.refused, 1)
  a.read = read
  t.ok((await clock.until(c.read().whole())).equals(bytes))
  t.equal(c.runs, 0)
  await close()
})

t.test('if no holder can be reached, the fill runs here at last', async (t) => {
  const { fleet, clock, close } = await fleetOf('a')
  const answer = { kind: 'held', node: 'nobody', token: 't', leftMs: 5000 } as const
  let claims = 0
  const fake = await fleet.add('d', paced(clock, bytes, 10_000, 1))
  fake.gate.claim = () => Promise.resolve((claims++, answer))
  t.ok((await clock.until(fake.read().whole())).equals(bytes))
  t.equal(claims, 6)
  t.equal(fake.counted.counts['takeovers.unreachable'], 6)
  await close()
})

const fleetNodes = ({ fleet }: VirtualNode): VirtualNode[] => [...fleet.nodes.values()]

/** Ends the node that makes the bytes, three times, while all others follow it. */
async function loseHolders(lose: (holder: VirtualNode) => void) {
  const opened = await fleetOf('abc')
  const { fleet, clock } = opened
  for (const name of 'def') await fleet.add(name, paced(clock, bytes, 10_000, 100))
  const left = new Set(fleet.nodes.values())
  const entries = new Map([...left].map((node) => [node, node.read()]))
  for (let round = 0; round < 3; round++) {
    await clock.pass(500)
    const holder = [...left].find((node) => node.runs > 0)!
    lose(holder)
    left.delete(holder)
  }
  return { ...opened, left: [...left], entries }
}

t.test('a fill during which three holders were lost has failed, and is not tried at once', async (t) => {
  const { fleet, clock, left, entries, close } = await loseHolders((node) => node.kill())
  const errors = await Promise.all(
    left.map((node) => clock.until(entries.get(node)!.whole()).catch((error: unknown) => error)),
  )
  t.equal(left.length, 3)
  for (const error of errors)
    t.match(error, { name: 'FillError', message: '3 nodes in a row were lost while they made this' })
  t.equal(fleet.runs, 3, 'no stampede')
  const [first] = left as [VirtualNode]
  await clock.pass(10_000)
  t.match(await clock.until(first.read().whole()).catch((error: unknown) => error), {
    cause: { name: 'FillFailedElsewhere', code: 'lost' },
  })
  t.equal(fleet.runs, 3)
  await clock.pass(25_000)
  t.ok((await clock.until(first.read().whole())).equals(bytes), 'later it is')
  await close()
})

t.test('if the engine goes away meanwhile, they make it themselves', async (t) => {
  let losses = 0
  const { fleet, clock, left, entries, close } = await loseHolders((node) => {
    if (++losses === 3) for (const { reached } of fleetNodes(node)) reached.reach = 'away'
    node.kill()
  })
  for (const node of left) t.ok((await clock.until(entries.get(node)!.whole())).equals(bytes))
  t.equal(fleet.runs, 6)
  await close()
})

t.test('nodes that end in order are not to blame', async (t) => {
  const { clock, left, entries, close } = await loseHolders((node) => node.leave())
  for (const node of left) t.ok((await clock.until(entries.get(node)!.whole())).equals(bytes))
  await close()
})

t.test('a committed file is found before the fill, where files are shared', async (t) => {
  const { fleet, clock, a, b, close } = await fleetOf('ab', { filesAreShared: true })
  const request = {
    ...{ repository: 'r.git', key: 'listing r.git', state: stateNow, question: { repeatable: true } },
    ...{ fromPeer: false, repeatable: true, produce: a.producer },
  }
  const fill = a.fills.share(request)
  t.equal(await fill.find(), undefined)
  const made: Buffer[] = []
  const { signal } = new AbortController()
  const all = (async () => {
    for await (const chunk of fill.produce(signal)) made.push(chunk as Buffer)
  })()
  await clock.until(all)
  t.equal(a.counted.counts['claims.granted'], 1, 'the claim of find() is used')
  const entry = { length: bytes.length, sha256: 'x', path: '/cache/entries/1' }
  fill.ended({ kind: 'entry', entry })
  await idle()
  t.same(await b.fills.share(request).find(), entry)
  t.match(b.counted.counts, { 'claims.published': 1, 'borrowed.file': 1 })
  const own = a.fills.share(request)
  t.equal(await own.find(), undefined, 'the node itself does not have it any more')
  own.ended({ kind: 'nothing' })
  await idle()
  t.equal(fleet.runs, 0)
  const [first, second] = [b.fills.share(request), b.fills.share(request)]
  const claiming = first.find()
  first.ended({ kind: 'nothing' })
  await claiming
  await idle()
  t.equal(await second.find(), undefined)
  t.match(await a.gate.claim({ ...a.keyDigests, node: 'a', state: stateNow, ttlMs: 1 }), {
    kind: 'held',
    node: 'b',
  })
  second.ended({ kind: 'nothing' })
  await idle()
  t.match(await a.gate.claim({ ...a.keyDigests, node: 'a', state: stateNow, ttlMs: 1 }), { kind: 'granted' })
  await close()
})

t.test('a fill that is stopped while it waits ends', async (t) => {
  const { clock, a, b, close } = await fleetOf('ab')
  a.producer = paced(clock, bytes, 1000, 10_000)
  a.read()
  await clock.pass(10)
  a.mode = 'silent'
  const stop = new AbortController()
  const fill = b.fills.share({
    ...{ repository: 'r.git', key: 'listing r.git', state: stateNow, question: { repeatable: true } },
    ...{ fromPeer: false, repeatable: true, produce: b.producer },
  })
  const read = (async () => {
    for await (const chunk of fill.produce(stop.signal)) t.fail(`${chunk.length} bytes`)
  })()
  clock.after(5000, () => stop.abort(new FillError('unread', 'stopped')))
  t.match(await clock.until(read).catch((error: unknown) => error), { fault: 'unread' })
  fill.ended({ kind: 'nothing' })
  a.kill()
  await close()
})

t.test('the preferred node is that of the members', async (t) => {
  const { a, close } = await fleetOf('ab')
  t.equal(a.fills.isPreferred({ repository: 'r.git', key: 'k' }), true)
  await close()
})
