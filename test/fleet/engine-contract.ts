import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import {
  TooManyFleetLeases,
  type Claim,
  type Epoch,
  type FleetEngine,
  type FleetFailure,
  type FillOutcome,
  type HeldClaim,
  type Hint,
  type NewFleetLease,
} from '../../src/fleet/engine.js'
import { compareWithTable } from './engine-comparison.js'
import { leaseId, name, plain } from './engine-names.js'

/** Some clients of one store. */
export interface OpenStore {
  /** One or more; two or more wherever the engine has clients. They stand for nodes. */
  readonly engines: readonly FleetEngine[]
  /** Makes the store lose its memory, as after FLUSHALL or the loss of a disk; left out: not tested. */
  flush?(): Promise<void>
  /** Closes the clients, and the store if it was started for this test. */
  close(): Promise<void>
}

export interface ContractOptions {
  /** Lets that much of the engine's time pass; sleeps if left out. */
  readonly elapse?: (ms: number) => Promise<unknown>
  /** A time limit that the engine keeps, in milliseconds: the tests wait for its end some ten times. 300 if left out. */
  readonly shortMs?: number
  /** How long after its time limit something has expired at the latest. 200 if left out. */
  readonly lateMs?: number
  /** The largest number of mutator leases of the stores that `open` returns; left out: not tested. */
  readonly leasesMax?: number
  /** Random histories that are compared with those of TableEngine, 40 operations each. 25 if left out; 0: none. */
  readonly histories?: number
}

/** A time limit that does not matter. */
const longMs = 60_000

/**
 * Adds tests of all that an engine of fleets promises (src/fleet/engine.ts) as a subtest of `t`:
 *
 *     t.test('Redis', (t) => engineContract(t, async () => {
 *       const engines = await Promise.all([connect(url), connect(url), connect(url)])
 *       return { engines, close: () => closeAll(engines), flush: () => flushAll(url) }
 *     }, { lateMs: 50 }))
 *
 * `open` is called once for each test, which calls `close` at its end. All may have the same store: the tests use random
 * names of repositories, keys and nodes (but `flush` is for this test alone, and with `leasesMax` no other leases are open).
 *
 * What these tests take for granted beside the comments in engine.ts:
 * - A lease that has expired is lost even if nothing else has claimed the key: `renew` and `publish` return false.
 * - A published entry ends the failure of its key. A published failure leaves the entry of the key, and `nothing` leaves both.
 * - A claim may get an entry that the same node has published (it then claims with `rob`, as all others do).
 * - `rob` of a token which is neither that of the lease nor that of the entry is ignored.
 * - Ended leases and failures whose time limit has passed do not count; `leftMs` is between 0 and the time limit.
 * - All clients of a store see the effects of an operation whose promise has resolved.
 */
export function engineContract(
  t: Test,
  open: () => Promise<OpenStore>,
  options: ContractOptions = {},
): Promise<void> {
  const { elapse = sleep, shortMs = 300, lateMs = 200, leasesMax, histories = 25 } = options
  const expire = (): Promise<unknown> => elapse(shortMs + lateMs)

  const test = (name: string, run: (t: Test, store: Store) => Promise<void>, skip = false): void =>
    void t.test(name, { skip: skip && 'the engine’s test does not say how' }, async (t) => {
      const store = await open()
      t.teardown(() => store.close())
      await run(t, new Store(store))
    })

  test('a lease is granted once, and others learn who holds it', async (t, { a, b }) => {
    const claim = someClaim()
    const token = await granted(t, a, claim)
    const other = await b.claim({ ...claim, node: name() })
    t.match(other, { kind: 'held', node: claim.node, token })
    t.ok(
      other.kind === 'held' && other.leftMs > 0 && other.leftMs <= claim.ttlMs,
      'with the time that is left',
    )
    t.match(await b.claim({ ...claim, node: name(), state: name() }), { kind: 'held', token }, 'in any state')
    await granted(t, b, { ...claim, key: name(), node: name() })
    await granted(t, b, { ...claim, repository: name(), node: name() })
  })

  test('a node that claims its own lease gets a new one, and the old token is lost', async (t, { a, b }) => {
    const claim = someClaim()
    const old = await granted(t, a, claim)
    const token = await granted(t, b, claim)
    t.not(token, old)
    t.equal(await a.renew(held(claim, old)), false)
    t.equal(await a.publish(held(claim, old), entry('s')), false)
    t.equal(await a.renew(held(claim, token)), true)
  })

  test('a lease may be robbed by its token only', async (t, { a, b }) => {
    const claim = someClaim()
    const token = await granted(t, a, claim)
    const robber = { ...claim, node: name() }
    t.match(await b.claim({ ...robber, rob: `${token}0` }), { kind: 'held', token })
    t.match(await b.claim({ ...robber, rob: 'x' }), { kind: 'held', token })
    const next = await granted(t, b, { ...robber, rob: token })
    t.not(next, token)
    t.match(await a.claim({ ...claim, node: name(), rob: token }), { kind: 'held', token: next }, 'only once')
    t.equal(await a.renew(held(claim, token)), false)
    t.equal(await a.publish(held(claim, token), entry('s')), false)
    t.equal(await b.publish(held(robber, next), entry(claim.state)), true)
  })

  test('a published entry answers claims of its state', async (t, { a, b }) => {
    const claim = someClaim()
    const token = await granted(t, a, claim)
    const made = entry(claim.state, { length: 2 ** 40, sha256: 'ab'.repeat(32), path: '/a b/"é"/c' })
    t.equal(await a.publish(held(claim, token), made), true)
    const expected = { kind: 'published', node: claim.node, token, entry: made.entry } as const
    t.strictSame(plain(await b.claim({ ...claim, node: name() })), expected)
    t.strictSame(plain(await b.claim(claim)), expected, 'those of its own node too')
    t.equal(await a.renew(held(claim, token)), false, 'the lease has ended')
    t.equal(await a.publish(held(claim, token), entry('other')), false)
    t.strictSame(plain(await b.claim({ ...claim, node: name() })), expected)
  })

  test('an entry without a digest or a file is published as it is', async (t, { a, b }) => {
    const claim = someClaim()
    const made = entry(claim.state, { length: 0 })
    await a.publish(held(claim, await granted(t, a, claim)), made)
    const answer = await b.claim({ ...claim, node: name() })
    t.ok(answer.kind === 'published')
    if (answer.kind === 'published') t.strictSame(plain(answer.entry), { length: 0 })
  })

  test('an entry does not answer claims of another state or of none', async (t, { a, b }) => {
    const claim = someClaim()
    await a.publish(held(claim, await granted(t, a, claim)), entry(claim.state))
    const other = { ...claim, node: name() }
    const token = await granted(t, b, { ...other, state: undefined })
    t.equal(await b.publish(held(other, token), { kind: 'nothing' }), true)
    await granted(t, b, { ...other, state: name() })
    t.match(await a.claim(claim), { kind: 'published' }, 'which a lease for another state does not hide')
  })

  test('a newer entry takes the place of the older one', async (t, { a, b }) => {
    const claim = someClaim()
    await a.publish(held(claim, await granted(t, a, claim)), entry(claim.state))
    const next = { ...claim, state: name(), node: name() }
    const token = await granted(t, b, next)
    t.equal(await b.publish(held(next, token), entry(next.state)), true)
    t.match(await a.claim({ ...claim, state: next.state }), { kind: 'published', node: next.node, token })
    await granted(t, a, claim)
  })

  test('an entry that its node does not have is robbed by its token only', async (t, { a, b }) => {
    const claim = someClaim()
    const token = await granted(t, a, claim)
    await a.publish(held(claim, token), entry(claim.state))
    const other = { ...claim, node: name() }
    t.match(await b.claim({ ...other, rob: `${token}0` }), { kind: 'published', token })
    const next = await granted(t, b, { ...other, rob: token })
    t.match(await a.claim({ ...claim, rob: token }), { kind: 'held', token: next }, 'not a later lease')
    await b.publish(held(other, next), entry(claim.state))
    t.match(await a.claim({ ...claim, rob: token }), { kind: 'published', token: next }, 'not a later entry')
  })

  test('robbing an entry leaves the lease of another fill', async (t, { a, b }) => {
    const claim = someClaim()
    const first = await granted(t, a, claim)
    await a.publish(held(claim, first), entry(claim.state))
    const token = await granted(t, a, { ...claim, state: name() })
    t.match(await b.claim({ ...claim, node: name(), rob: first }), { kind: 'held', token })
    t.equal(await a.renew(held(claim, token)), true)
  })

  test('a fill that was not kept leaves nothing behind', async (t, { a, b }) => {
    const claim = someClaim()
    const token = await granted(t, a, claim)
    t.equal(await a.publish(held(claim, token), { kind: 'nothing' }), true)
    t.equal(await a.publish(held(claim, token), { kind: 'nothing' }), false)
    await granted(t, b, { ...claim, node: name() })
  })

  test('a failure is answered in its state until its time limit', async (t, { a, b }) => {
    const claim = someClaim()
    const failed = failure({ state: claim.state, message: 'a "message"\nof é and 🚀', attempt: 3 })
    t.equal(await a.publish(held(claim, await granted(t, a, claim)), { ...failed, ttlMs: shortMs }), true)
    const answer = await b.claim({ ...claim, node: name() })
    t.match(answer, { kind: 'failed' })
    if (answer.kind === 'failed') {
      t.strictSame(plain(answer.failure), plain(failed.failure))
      t.ok(answer.leftMs > 0 && answer.leftMs <= shortMs)
    }
    const other = { ...claim, node: name(), state: name() }
    t.equal(await b.publish(held(other, await granted(t, b, other)), { kind: 'nothing' }), true)
    const nameless = { ...other, state: undefined }
    const token = await granted(t, b, nameless, 'a claim without a state is not one of this state')
    await b.publish(held(nameless, token), { kind: 'nothing' })
    t.match(await b.claim(claim), { kind: 'failed' }, 'fills of other states leave it')
    await expire()
    await granted(t, b, { ...claim, node: name() })
  })

  test('a failure without a state is answered in every state, and to all nodes', async (t, { a, b }) => {
    const claim = someClaim()
    const failed = failure({ state: undefined })
    await a.publish(held(claim, await granted(t, a, claim)), { ...failed, ttlMs: longMs })
    for (const state of [claim.state, name(), undefined]) {
      t.match(await b.claim({ ...claim, node: name(), state }), { kind: 'failed' })
      t.match(await a.claim({ ...claim, state }), { kind: 'failed' })
    }
    await granted(t, a, { ...claim, key: name() })
  })

  test('a failure comes before an entry and before a lease', async (t, { a, b }) => {
    const claim = someClaim()
    const first = await granted(t, a, claim)
    await a.publish(held(claim, first), entry(claim.state))
    const robbing = { ...claim, state: name() }
    const failed = failure({ state: claim.state })
    await a.publish(held(claim, await granted(t, a, robbing)), { ...failed, ttlMs: longMs })
    t.match(await b.claim(claim), { kind: 'failed' }, 'before the entry')
    const token = await granted(t, a, robbing)
    t.match(await b.claim({ ...claim, node: name() }), { kind: 'failed' }, 'before the lease')
    t.match(await b.claim({ ...robbing, node: name() }), { kind: 'held', token })
  })

  test('an entry ends the failure of its key', async (t, { a, b }) => {
    const claim = someClaim()
    const failed = failure({ state: claim.state })
    await a.publish(held(claim, await granted(t, a, claim)), { ...failed, ttlMs: longMs })
    const other = { ...claim, state: name() }
    await b.publish(held(other, await granted(t, b, other)), entry(other.state))
    await granted(t, a, claim)
  })

  test('a lease expires, and its token is lost', async (t, { a, b }) => {
    const claim = someClaim({ ttlMs: shortMs })
    const [unclaimed, taken] = [claim, { ...claim, key: name() }]
    const first = await granted(t, a, unclaimed)
    const second = await granted(t, a, taken)
    await expire()
    t.equal(await a.renew(held(unclaimed, first)), false, 'also if nothing has claimed it')
    t.equal(await a.publish(held(unclaimed, first), entry(claim.state)), false)
    const thief = { ...taken, node: name(), ttlMs: longMs }
    const token = await granted(t, b, thief)
    t.equal(await a.renew(held(taken, second)), false)
    t.equal(await a.publish(held(taken, second), entry(claim.state)), false)
    t.match(await a.claim({ ...taken, node: name() }), { kind: 'held', node: thief.node, token })
    await granted(t, b, { ...unclaimed, node: name() }, 'and nothing was recorded')
  })

  test('a renewed lease lasts its whole time limit again', async (t, { a, b }) => {
    const claim = someClaim({ ttlMs: 2 * shortMs + lateMs })
    const token = await granted(t, a, claim)
    for (let renewals = 0; renewals < 3; renewals++) {
      await elapse(shortMs)
      t.equal(await a.renew(held(claim, token)), true)
    }
    t.match(await b.claim({ ...claim, node: name() }), { kind: 'held', token })
    await elapse(claim.ttlMs + lateMs)
    t.equal(await a.renew(held(claim, token)), false)
    await granted(t, b, { ...claim, node: name() })
  })

  test('a lease of another key or node is neither renewed nor published', async (t, { a }) => {
    const claim = someClaim()
    const token = await granted(t, a, claim)
    const others = [{ key: name() }, { repository: name() }, { token: `${token}0` }]
    for (const other of others) {
      t.equal(await a.renew({ ...held(claim, token), ...other }), false)
      t.equal(await a.publish({ ...held(claim, token), ...other }, entry(claim.state)), false)
    }
    t.equal(await a.renew(held(claim, token)), true)
  })

  test('of many claims at once one is granted', async (t, { all }) => {
    const tokens = new Set<string>()
    for (let round = 0; round < 10; round++) {
      const claim = someClaim()
      const nodes = Array.from({ length: 12 }, name)
      const ask = (rob?: string) => (node: string, index: number) =>
        all[index % all.length]!.claim({ ...claim, node, ...(rob !== undefined && { rob }) })
      let rob: string | undefined
      // Thereafter all of them find the holder dead at the same time.
      for (let robbery = 0; robbery < 3; robbery++) {
        const answers = await Promise.all(nodes.map(ask(rob)))
        const winners = answers.filter(({ kind }) => kind === 'granted')
        t.equal(winners.length, 1, 'one is granted')
        rob = winners[0]?.kind === 'granted' ? winners[0].token : undefined
        const losers = answers.filter((answer) => answer.kind === 'held' && answer.token === rob)
        t.equal(losers.length, nodes.length - 1, 'the others learn of it')
        t.notOk(tokens.has(rob!), 'tokens never repeat')
        tokens.add(rob!)
      }
    }
  })

  test('of a publish and many robberies at once, one counts', async (t, { all, a }) => {
    for (let round = 0; round < 10; round++) {
      const claim = someClaim()
      const token = await granted(t, a, claim)
      const [published, ...answers] = await Promise.all([
        a.publish(held(claim, token), entry(claim.state)),
        ...all.map((engine) => engine.claim({ ...claim, node: name(), rob: token })),
      ])
      const winners = answers.filter(({ kind }) => kind === 'granted')
      // A robbery before the publish ends the lease; one after it, the entry.
      t.equal(winners.length, 1)
      const after = await a.claim({ ...claim, node: name() })
      t.match(after, { kind: 'held' }, published ? 'after the publish' : 'before the publish')
    }
  })

  test('changes and leases are counted for each repository', async (t, { a, b }) => {
    const [one, two] = [name(), name()]
    const before = await epochsOf(a, [one, two])
    t.match(before, [{ open: 0 }, { open: 0 }])
    await a.change(one)
    t.strictSame(since(before, await epochsOf(b, [one, two])), [counts(0, 0, 1), counts(0, 0, 0)])
    const lease = someLease({ repository: two })
    await b.openLease(lease)
    t.strictSame(since(before, await epochsOf(a, [one, two])), [counts(0, 0, 1), counts(1, 1, 0)])
    const second = someLease({ repository: two })
    await a.openLease(second)
    t.strictSame(since(before, await epochsOf(a, [one, two]))[1], counts(2, 2, 0))
    t.match(await a.endLease(lease.id, 'changed'), { id: lease.id, repository: two })
    t.strictSame(since(before, await epochsOf(b, [two]), 1)[0], counts(1, 2, 1))
    t.match(await b.endLease(second.id, 'unchanged'), { id: second.id }, 'without a change')
    t.strictSame(since(before, await epochsOf(b, [one, two])), [counts(0, 0, 1), counts(0, 2, 1)])
  })

  test('epochs come in the order in which they were asked for', async (t, { a }) => {
    const repositories = Array.from({ length: 20 }, name)
    for (const [index, repository] of repositories.entries()) {
      for (let changes = 0; changes < index % 4; changes++) await a.change(repository)
    }
    const [base] = await epochsOf(a, [name()])
    const asked = [...repositories].reverse()
    const found = await epochsOf(a, [...asked, asked[0]!])
    t.equal(found.length, 21, 'one for each, also if one is asked for twice')
    for (const [index, { changes }] of found.slice(0, 20).entries()) {
      t.equal(changes - base!.changes, (19 - index) % 4)
    }
    t.strictSame(found[20], found[0])
    t.strictSame(await a.epochs([]), [])
  })

  test('a mutator lease that expires counts as a change', async (t, { a, b }) => {
    const repository = name()
    const before = await epochsOf(a, [repository])
    const lease = someLease({ repository, ttlMs: shortMs })
    await a.openLease(lease)
    t.strictSame(since(before, await epochsOf(b, [repository])), [counts(1, 1, 0)])
    await expire()
    t.strictSame(since(before, await epochsOf(b, [repository])), [counts(0, 1, 1)])
    t.equal(await a.endLease(lease.id, 'changed'), undefined, 'it cannot be ended any more')
    t.equal(await a.renewLease(lease.id), undefined)
    t.strictSame(since(before, await epochsOf(b, [repository])), [counts(0, 1, 1)], 'and is counted once')
    t.notOk((await a.leases()).some(({ id }) => id === lease.id))
  })

  test('a mutator lease is renewed', async (t, { a, b }) => {
    const repository = name()
    const before = await epochsOf(a, [repository])
    const lease = someLease({ repository, ttlMs: 2 * shortMs + lateMs })
    await a.openLease(lease)
    for (let renewals = 0; renewals < 2; renewals++) {
      await elapse(shortMs)
      const renewed = await b.renewLease(lease.id)
      t.match(renewed, { ...lease, reason: lease.reason }, 'to its earlier time limit')
      t.ok(renewed && renewed.leftMs > lease.ttlMs - shortMs && renewed.leftMs <= lease.ttlMs)
    }
    t.match(await b.renewLease(lease.id, longMs), { ttlMs: longMs }, 'to another one')
    await elapse(lease.ttlMs + lateMs)
    t.match(await b.renewLease(lease.id, shortMs), { ttlMs: shortMs }, 'to a shorter one')
    t.strictSame(
      since(before, await epochsOf(a, [repository])),
      [counts(1, 1, 0)],
      'it is still the same lease',
    )
    await expire()
    t.strictSame(since(before, await epochsOf(a, [repository])), [counts(0, 1, 1)])
  })

  test('a mutator lease that is opened again lasts as long as it says then', async (t, { a, b }) => {
    const repository = name()
    const before = await epochsOf(a, [repository])
    const lease = someLease({ repository, ttlMs: shortMs })
    await a.openLease(lease)
    await b.openLease({ ...lease, ttlMs: longMs })
    await expire()
    const [epoch] = since(before, await epochsOf(a, [repository]))
    t.match(epoch, { open: 1, changes: 0 })
    t.match(await a.endLease(lease.id, 'unchanged'), { id: lease.id })
  })

  test('a mutator lease that was opened earlier expires earlier at first', async (t, { a, b }) => {
    const repository = name()
    const before = await epochsOf(a, [repository])
    const [short, renewed, again] = [0, 1, 2].map(() => someLease({ repository, ttlMs: longMs }))
    await a.openLease(renewed!, shortMs)
    t.match(await b.renewLease(renewed!.id), { ttlMs: longMs }, 'its time limit is the whole one')
    await a.openLease(short!, shortMs)
    await a.openLease(again!)
    await b.openLease(again!, shortMs)
    await elapse(shortMs + lateMs)
    t.match(since(before, await epochsOf(b, [repository])), [{ open: 1, changes: 2 }])
    t.match(await a.endLease(renewed!.id, 'unchanged'), { id: renewed!.id, ttlMs: longMs })
  })

  test('mutator leases that do not exist are neither renewed nor ended', async (t, { a }) => {
    const repository = name()
    const before = await epochsOf(a, [repository])
    for (const id of [leaseId(repository), leaseId(name()), 'x', `${repository}.short`, '', '../..', '*.*']) {
      t.equal(await a.renewLease(id), undefined)
      t.equal(await a.renewLease(id, longMs), undefined)
      t.equal(await a.endLease(id, 'changed'), undefined)
      t.equal(await a.endLease(id, 'unchanged'), undefined)
    }
    t.strictSame(since(before, await epochsOf(a, [repository])), [counts(0, 0, 0)])
  })

  test('open mutator leases are listed', async (t, { a, b }) => {
    const repository = name()
    const leases = [
      someLease({ repository, name: 'größer "r"\n.git', reason: 'a "reason"' }),
      someLease({ repository, reason: undefined }),
      someLease({ reason: '' }),
    ]
    for (const lease of leases) await a.openLease(lease)
    const mine = async (): Promise<unknown[]> =>
      (await b.leases())
        .filter(({ id }) => leases.some((lease) => lease.id === id))
        .map(({ leftMs, ...lease }) => {
          t.ok(leftMs > 0 && leftMs <= lease.ttlMs)
          return plain(lease)
        })
        .sort((x, y) => leases.findIndex(({ id }) => id === x.id) - leases.findIndex(({ id }) => id === y.id))
    t.strictSame(await mine(), plain(leases))
    await b.endLease(leases[1]!.id, 'changed')
    t.strictSame(await mine(), plain([leases[0], leases[2]]))
    for (const { id } of leases) await a.endLease(id, 'unchanged')
  })

  test(
    'the number of open mutator leases is bounded',
    async (t, { a }) => {
      const leases = Array.from({ length: leasesMax! }, () => someLease())
      for (const lease of leases) await a.openLease(lease)
      const before = await epochsOf(a, [leases[0]!.repository])
      await t.rejects(a.openLease(someLease({ repository: leases[0]!.repository })), TooManyFleetLeases)
      t.strictSame(since(before, await epochsOf(a, [leases[0]!.repository])), [counts(1, 0, 0)])
      await a.endLease(leases[0]!.id, 'unchanged')
      const next = someLease()
      await a.openLease(next)
      for (const { id } of [...leases, next]) await a.endLease(id, 'unchanged')
    },
    leasesMax === undefined,
  )

  test('many changes and leases at once are all counted', async (t, { all, a }) => {
    const repository = name()
    const before = await epochsOf(a, [repository])
    const leases = Array.from({ length: 12 }, () => someLease({ repository }))
    const engine = (index: number): FleetEngine => all[index % all.length]!
    await Promise.all([
      ...leases.map((lease, index) => engine(index).openLease(lease)),
      ...leases.map((_, index) => engine(index).change(repository)),
    ])
    t.strictSame(since(before, await epochsOf(a, [repository])), [counts(12, 12, 12)])
    // Each is ended by two clients: one of them ends it.
    const ends = await Promise.all(
      [...leases, ...leases].map(({ id }, index) => engine(index).endLease(id, 'changed')),
    )
    t.equal(ends.filter((lease) => lease !== undefined).length, 12)
    t.strictSame(since(before, await epochsOf(a, [repository])), [counts(0, 12, 24)])
  })

  test('members are those that have lately said so', async (t, { a, b }) => {
    const [one, two, three] = [name(), name(), name()]
    const known = (members: readonly string[]): string[] =>
      [one, two, three].filter((node) => members.includes(node))
    t.same(known(await a.beat(one, longMs)), [one])
    t.same(known(await b.beat(two, shortMs)), [one, two])
    t.same(known(await b.beat(two, shortMs)), [one, two])
    const members = await b.beat(two, shortMs)
    t.equal(new Set(members).size, members.length, 'each is named once')
    t.same(known(await a.beat(three, longMs)), [one, two, three])
    await expire()
    t.same(known(await a.beat(one, longMs)), [one, three])
    await b.leave(three)
    t.same(known(await b.beat(one, longMs)), [one])
    await a.leave(name())
  })

  test('the fill leases of a node that leaves end', async (t, { a, b }) => {
    const claim = someClaim()
    const keys = Array.from({ length: 5 }, () => ({ ...claim, key: name(), repository: name() }))
    const bystander = { ...claim, node: name() }
    await a.beat(claim.node, longMs)
    const tokens: string[] = []
    for (const one of keys) tokens.push(await granted(t, a, one))
    const other = await granted(t, b, bystander)
    await a.leave(claim.node)
    t.equal(await a.renew(held(keys[0]!, tokens[0]!)), false)
    t.equal(await a.publish(held(keys[1]!, tokens[1]!), entry(claim.state)), false)
    for (const one of keys) await granted(t, b, { ...one, node: name() })
    t.equal(await b.renew(held(bystander, other)), true, 'those of others do not')
    // A node of that name may begin anew.
    await granted(t, a, { ...claim, key: name() })
  })

  test('watchers are told of what they may wait for', async (t, { all, a }) => {
    const { repository, ...claim } = someClaim()
    const lease = someLease({ repository })
    for (const engine of all) {
      const token = await granted(t, a, { ...claim, repository })
      const told = new Hints(engine)
      // A watch may take a moment to begin, during which hints are lost: each change is repeated.
      await told.wait(
        () => a.change(repository),
        (hint) => hint.kind === 'epoch' && hint.repository === repository,
      )
      t.pass('of a change')
      let current = token
      await told.wait(
        async () => {
          await a.publish(held({ ...claim, repository }, current), { kind: 'nothing' })
          current = await granted(t, a, { ...claim, repository })
        },
        (hint) => hint.kind === 'key' && hint.repository === repository && hint.key === claim.key,
      )
      t.pass('of a publish')
      await told.wait(
        async () => {
          await a.openLease(lease)
          await a.endLease(lease.id, 'changed')
        },
        (hint) => hint.kind === 'epoch' && hint.repository === repository,
      )
      t.pass('of the end of a mutator lease')
      await a.publish(held({ ...claim, repository }, current), { kind: 'nothing' })
      told.stop()
      const heard = told.length
      await a.change(repository)
      await a.epochs([repository])
      t.equal(told.length, heard, 'and of nothing after they have stopped')
    }
  })

  test('an engine that has lost its memory knows no token, and has another incarnation', async (t, {
    a,
    b,
    flush,
  }) => {
    if (!flush) return t.comment('not tested: the engine’s test does not say how to lose its memory')
    const claim = someClaim()
    const lease = someLease({ repository: claim.repository })
    const tokens = new Set<string>()
    const incarnations = new Set<string>()
    for (let losses = 0; losses < 3; losses++) {
      const token = await granted(t, a, claim)
      t.notOk(tokens.has(token), 'tokens never repeat')
      tokens.add(token)
      await b.openLease(lease)
      const [epoch] = await b.epochs([claim.repository])
      t.notOk(incarnations.has(epoch!.incarnation))
      incarnations.add(epoch!.incarnation)
      t.equal(epoch!.open, 1)
      await flush()
      t.equal(await a.renew(held(claim, token)), false)
      t.equal(await a.publish(held(claim, token), entry(claim.state)), false)
      t.equal(await a.renewLease(lease.id), undefined)
      t.match(await a.epochs([claim.repository]), [{ open: 0 }])
      t.same(await a.beat(claim.node, longMs), [claim.node])
      const other = { ...claim, node: name() }
      const next = await granted(t, b, other, 'nothing was recorded')
      t.notOk(tokens.has(next))
      tokens.add(next)
      await b.publish(held(other, next), { kind: 'nothing' })
      t.equal(await a.publish(held(claim, token), entry(claim.state)), false)
    }
  })

  if (histories > 0) {
    test('random histories have the same answers as in a table', (t, { all }) =>
      compareWithTable(t, all, histories))
  }

  return Promise.resolve()
}

/** A store with names for its clients. */
class Store {
  readonly all: readonly FleetEngine[]
  readonly a: FleetEngine
  readonly b: FleetEngine
  readonly flush: (() => Promise<void>) | undefined

  constructor(store: OpenStore) {
    this.all = store.engines
    this.a = store.engines[0]!
    this.b = store.engines[1] ?? this.a
    this.flush = store.flush && (() => store.flush!())
  }
}

/** Collects the hints of a watcher. */
class Hints {
  readonly stop: () => void
  readonly #heard: Hint[] = []
  #wake: () => void = () => undefined

  constructor(engine: FleetEngine) {
    this.stop = engine.watch((hint) => {
      this.#heard.push(hint)
      this.#wake()
    })
  }

  get length(): number {
    return this.#heard.length
  }

  /** Repeats a change until a hint tells of it. @throws after 10 s */
  async wait(change: () => Promise<void>, isMeant: (hint: Hint) => boolean): Promise<void> {
    const deadline = Date.now() + 10_000
    this.#heard.length = 0
    while (Date.now() < deadline) {
      await change()
      // Until the next hint or the next try.
      const next = Date.now() + 500
      while (Date.now() < next) {
        if (this.#heard.some(isMeant)) return
        const woken = new Promise<void>((resolve) => (this.#wake = resolve))
        const rest = new AbortController()
        await Promise.race([woken, sleep(next - Date.now(), undefined, rest)])
        rest.abort()
      }
    }
    throw new Error('no hint came')
  }
}

const someClaim = (changes: Partial<Claim> = {}): Claim & { state: string } => ({
  repository: name(),
  key: name(),
  node: name(),
  ttlMs: longMs,
  ...changes,
  state: changes.state ?? name(),
})

const someLease = ({ repository = name(), ...changes }: Partial<NewFleetLease> = {}): NewFleetLease => ({
  id: leaseId(repository),
  repository,
  name: 'some/repository.git',
  reason: 'a push',
  openedAtMs: 1_700_000_000_123,
  ttlMs: longMs,
  ...changes,
})

const held = ({ repository, key, node, ttlMs }: Claim, token: string): HeldClaim => ({
  repository,
  key,
  node,
  token,
  ttlMs,
})

const entry = (
  state: string,
  made: { length: number; sha256?: string; path?: string } = { length: 7, sha256: 'cd'.repeat(32) },
) => ({ kind: 'entry', state, entry: made }) as const satisfies FillOutcome

const failure = (changes: Partial<FleetFailure>) => ({
  kind: 'failure' as const,
  failure: { state: undefined, attempt: 1, code: 'a-code', message: 'a message', ...changes },
})

/** Claims, and expects that the lease is granted. */
async function granted(t: Test, engine: FleetEngine, claim: Claim, message?: string): Promise<string> {
  const answer = await engine.claim(claim)
  t.match(answer, { kind: 'granted', token: /./ }, message ?? 'granted')
  return answer.kind === 'granted' ? answer.token : 'none'
}

const epochsOf = (engine: FleetEngine, repositories: readonly string[]): Promise<Epoch[]> =>
  engine.epochs(repositories)

const counts = (open: number, openings: number, changes: number) => ({ open, openings, changes })

/** Returns by how much counts have grown since; open ones as they are. */
const since = (before: readonly Epoch[], after: readonly Epoch[], from = 0) =>
  after.map(({ incarnation, open, openings, changes }, index) => {
    const old = before[from + index]!
    if (incarnation !== old.incarnation) throw new Error('the incarnation has changed')
    return counts(open, openings - old.openings, changes - old.changes)
  })
