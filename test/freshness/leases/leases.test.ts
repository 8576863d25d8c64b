import t from 'tap'
import type { Test } from 'tap'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mock } from 'node:test'
import fc from 'fast-check'
import { LeaseJournal } from '../../../src/freshness/leases/lease-journal.js'
import type { LeaseStatus } from '../../../src/freshness/leases/lease.js'
import { Leases, type LeaseEvents } from '../../../src/freshness/leases/leases.js'
import { tempDir } from '../../support/temp-dir.js'

/** The events of leases, in order. */
function recorder(): { events: LeaseEvents; reported: string[] } {
  const reported: string[] = []
  const events: LeaseEvents = {
    opened: ({ repository }) => reported.push(`opened ${repository}`),
    ended: ({ repository }, end) => reported.push(`ended ${repository} ${end}`),
    changed: (repository) => reported.push(`changed ${repository}`),
    journalFailed: () => reported.push('journal failed'),
  }
  return { events, reported }
}

/** Lets time pass only when the test says so. */
function clock(t: Test): (ms: number) => void {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 })
  t.teardown(() => mock.timers.reset())
  return (ms) => mock.timers.tick(ms)
}

const status = (open: number, openings: number, changes: number): Partial<LeaseStatus> => ({
  open,
  openings,
  changes,
})

t.test('the status of a repository counts its leases', async (t) => {
  const { events, reported } = recorder()
  const leases = new Leases(undefined, events)
  t.teardown(() => leases.close())
  const one = leases.open('/a', 60_000, 'why')
  const two = leases.open('/a', 60_000)
  const other = leases.open('/b', 60_000)
  t.equal(new Set([one.id, two.id, other.id]).size, 3)
  t.match(one, { repository: '/a', reason: 'why', ttlMs: 60_000 })
  t.equal(one.expiresAt.getTime() - one.openedAt.getTime(), 60_000)
  t.match(
    [leases.statusOf('/a'), leases.statusOf('/b'), leases.statusOf('/c')],
    [status(2, 2, 0), status(1, 1, 0), status(0, 0, 0)],
  )
  t.same(leases.list(), [one, two, other])

  t.equal(leases.end(one.id, 'unchanged'), one)
  t.match(leases.statusOf('/a'), status(1, 2, 0), 'no change, but a lease was open')
  t.equal(leases.end(two.id, 'changed'), two)
  t.match(leases.statusOf('/a'), status(0, 2, 1))
  t.equal(leases.end(two.id, 'changed'), undefined, 'it ends once')
  t.equal(leases.renew(two.id), undefined)
  t.match(leases.statusOf('/a'), status(0, 2, 1))
  leases.invalidate('/b')
  t.match(leases.statusOf('/b'), status(1, 1, 1))
  t.equal(leases.size, 1)
  t.same(reported, [
    ...['opened /a', 'opened /a', 'opened /b', 'ended /a unchanged'],
    ...['changed /a', 'ended /a changed', 'changed /b'],
  ])
})

t.test('a lease ends at its time limit, as if with a change', async (t) => {
  const pass = clock(t)
  const { events, reported } = recorder()
  const leases = new Leases(undefined, events)
  const { id } = leases.open('/a', 1000)
  pass(999)
  t.match(leases.statusOf('/a'), status(1, 1, 0))
  pass(1)
  t.match([leases.statusOf('/a'), leases.size], [status(0, 1, 1), 0])
  t.same(reported, ['opened /a', 'changed /a', 'ended /a expired'])
  t.equal(leases.end(id, 'unchanged'), undefined, 'an end that comes too late does not count')
  t.match(leases.statusOf('/a'), status(0, 1, 1))
})

t.test('a renewed lease lasts from then on, for a new time or for as long as before', async (t) => {
  const pass = clock(t)
  const leases = new Leases()
  const { id } = leases.open('/a', 1000, 'why')
  pass(900)
  const renewed = leases.renew(id)
  t.match(renewed, { id, reason: 'why', ttlMs: 1000, openedAt: new Date(1e12) })
  t.same(renewed?.expiresAt, new Date(1e12 + 1900))
  pass(999)
  t.match(leases.statusOf('/a'), status(1, 1, 0), 'the first time limit no longer applies')
  t.same(leases.renew(id, 5000)?.expiresAt, new Date(1e12 + 6899))
  pass(4999)
  t.match(leases.statusOf('/a'), status(1, 1, 0), 'a renewal is no opening')
  pass(1)
  t.match(leases.statusOf('/a'), status(0, 1, 1))
  pass(1e6)
  t.match(leases.statusOf('/a'), status(0, 1, 1), 'and no timer is left')
})

t.test('an ended lease leaves no timer, nor does close()', async (t) => {
  const pass = clock(t)
  const { events, reported } = recorder()
  const leases = new Leases(undefined, events)
  leases.end(leases.open('/a', 1000).id, 'unchanged')
  leases.open('/a', 1000)
  leases.close()
  reported.length = 0
  pass(1e6)
  t.same(reported, [])
})

t.test('open leases are still open for the next process, for the rest of their time', async (t) => {
  const pass = clock(t)
  const directory = join(tempDir(t), 'leases')
  const first = new Leases(new LeaseJournal(directory))
  const kept = first.open('/a', 10_000, 'why')
  const renewed = first.open('/b', 1000)
  first.end(first.open('/a', 10_000).id, 'changed')
  first.renew(renewed.id, 3000)
  pass(500)
  first.close()

  const { events, reported } = recorder()
  const second = new Leases(new LeaseJournal(directory), events)
  t.same(
    second.list().sort((one, two) => (one.repository < two.repository ? -1 : 1)),
    [kept, { ...renewed, ttlMs: 3000, expiresAt: new Date(1e12 + 3000) }],
  )
  t.match(second.statusOf('/a'), status(1, 1, 0))
  t.same(reported, [], 'they were opened by the earlier process')
  pass(2500)
  t.same(reported, ['changed /b', 'ended /b expired'])
  t.equal(second.end(kept.id, 'changed')?.id, kept.id)
  t.same(readdirSync(directory), [])
})

t.test('a lease that expired while no process ran is a change', async (t) => {
  const pass = clock(t)
  const directory = tempDir(t)
  new Leases(new LeaseJournal(directory)).open('/a', 1000)
  mock.timers.reset()
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 + 5000 })
  const { events, reported } = recorder()
  const leases = new Leases(new LeaseJournal(directory), events)
  t.equal(leases.statusOf('/a').open, 1, 'until its timer fires')
  pass(1)
  t.same(reported, ['changed /a', 'ended /a expired'])
  t.same(readdirSync(directory), [])
})

t.test('a clock that was set back does not make a lease last longer than its ttl', async (t) => {
  const pass = clock(t)
  const directory = tempDir(t)
  new Leases(new LeaseJournal(directory)).open('/a', 1000)
  mock.timers.reset()
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e11 })
  const leases = new Leases(new LeaseJournal(directory))
  pass(1000)
  t.match(leases.statusOf('/a'), status(0, 1, 1))
})

t.test('a journal that cannot be written is reported; leases work all the same', async (t) => {
  const file = join(tempDir(t), 'file')
  writeFileSync(file, '')
  const { events, reported } = recorder()
  const leases = new Leases(new LeaseJournal(join(file, 'leases')), events)
  t.teardown(() => leases.close())
  t.same(reported, ['journal failed'])
  const { id } = leases.open('/a', 60_000)
  t.match(leases.statusOf('/a'), status(1, 1, 0))
  t.ok(leases.renew(id))
  t.ok(leases.end(id, 'changed'))
  t.match(leases.statusOf('/a'), status(0, 1, 1))

  const directory = tempDir(t)
  const gone = new Leases(new LeaseJournal(directory), events)
  t.teardown(() => gone.close())
  rmSync(directory, { recursive: true })
  t.ok(gone.open('/a', 60_000))
})

t.test(
  'the number of repositories that are remembered is limited, and no count ever decreases',
  async (t) => {
    const leases = new Leases()
    t.teardown(() => leases.close())
    const held = leases.open('/held', 60_000)
    for (let count = 0; count < 3; count++) leases.invalidate('/first')
    const before = leases.statusOf('/first')
    t.match(before, { open: 0, openings: 0, changes: 3 })
    t.match(leases.statusOf('/never'), { open: 0, openings: 0, changes: 0 })
    for (let count = 0; count < 100_000; count++) leases.invalidate(`/${count}`)
    t.match(leases.statusOf('/first'), before, 'its ledger was given up')
    t.match(leases.statusOf('/never'), before, 'and that may have been any other’s')
    t.match(leases.statusOf('/held'), { open: 1, openings: 1, changes: 0 }, 'what is open is never given up')
    leases.invalidate('/first')
    t.equal(leases.statusOf('/first').changes, 4)
    leases.end(held.id, 'changed')
    t.match(leases.statusOf('/held'), { open: 0, openings: 1, changes: 1 })
  },
)

t.test('the number of open leases is limited', async (t) => {
  const leases = new Leases()
  t.teardown(() => leases.close())
  for (let count = 0; count < 10_000; count++) leases.open(`/${count % 7}`, 60_000)
  t.throws(() => leases.open('/a', 60_000), { name: 'TooManyLeases' })
  t.match(leases.statusOf('/a'), status(0, 0, 0))
  leases.end(leases.list()[0]!.id, 'unchanged')
  t.ok(leases.open('/a', 60_000))
})

t.test('under any schedule the status equals a plain count, also after a crash', async (t) => {
  const pass = clock(t)
  const repositories = ['/a', '/b']
  const step = fc.record({
    do: fc.constantFrom('open', 'renew', 'changed', 'unchanged', 'invalidate', 'pass', 'crash'),
    which: fc.nat(5),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
      const directory = tempDir(t)
      let leases = new Leases(new LeaseJournal(directory))
      let now = 0
      let open: { id: string; repository: string; until: number }[] = []
      let counts = new Map(repositories.map((name) => [name, { openings: 0, changes: 0 }]))
      const count = (name: string): { openings: number; changes: number } => counts.get(name)!
      for (const { do: what, which } of steps) {
        const repository = repositories[which % 2]!
        const lease = open[which]
        if (what === 'open') {
          const { id } = leases.open(repository, 1000)
          open.push({ id, repository, until: now + 1000 })
          count(repository).openings++
        } else if (what === 'invalidate') {
          leases.invalidate(repository)
          count(repository).changes++
        } else if (what === 'pass') {
          pass(400)
          now += 400
          for (const each of open) if (each.until <= now) count(each.repository).changes++
          open = open.filter(({ until }) => until > now)
        } else if (what === 'crash') {
          leases.close()
          leases = new Leases(new LeaseJournal(directory))
          counts = new Map(repositories.map((name) => [name, { openings: 0, changes: 0 }]))
          for (const each of open) count(each.repository).openings++
        } else if (lease && what === 'renew') {
          leases.renew(lease.id)
          lease.until = now + 1000
        } else if (lease) {
          leases.end(lease.id, what as 'changed' | 'unchanged')
          open = open.filter((each) => each !== lease)
          if (what === 'changed') count(lease.repository).changes++
        }
        for (const name of repositories) {
          const expected = { open: open.filter((each) => each.repository === name).length, ...count(name) }
          const { open: openNow, openings, changes } = leases.statusOf(name)
          const actual = { open: openNow, openings, changes }
          if (JSON.stringify(actual) !== JSON.stringify(expected)) {
            throw new Error(`${name}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`)
          }
        }
        if (readdirSync(directory).length !== open.length) throw new Error('a file for each, and no other')
      }
      leases.close()
    }),
    { numRuns: 100 },
  )
})

t.test('a lease of any length ends at its limit and not before, also one from the journal', async (t) => {
  const day = 86_400_000
  for (const days of [24, 25, 30, 49.8, 60]) {
    const directory = tempDir(t)
    const pass = clock(t)
    const first = new Leases(new LeaseJournal(directory))
    first.open('/a', days * day)
    first.close()
    const leases = new Leases(new LeaseJournal(directory))
    t.equal(leases.size, 1)
    // Each call lets the timers fire that existed before it.
    for (let passed = 0; passed < days - 1; passed++) pass(day)
    t.equal(leases.size, 1, `${days} days`)
    for (let more = 0; more < 3; more++) pass(day)
    t.equal(leases.size, 0, `${days} days`)
    mock.timers.reset()
  }
})

t.test('leases tell what they have changed', async (t) => {
  const pass = clock(t)
  const directory = tempDir(t)
  const leases = new Leases(new LeaseJournal(directory))
  t.teardown(() => leases.close())
  const end = (how: 'changed' | 'unchanged', refs?: string[]): void =>
    void leases.end(leases.open('/a', 60_000).id, how, refs)
  t.same(leases.changedSince('/a', 0), [])
  end('changed', ['refs/heads/one'])
  end('unchanged', ['refs/heads/none'])
  end('changed', ['refs/heads/two'])
  t.same(leases.changedSince('/a', 0), ['refs/heads/one', 'refs/heads/two'])
  t.same(leases.changedSince('/a', 1), ['refs/heads/two'])
  t.same(leases.changedSince('/a', 2), [])
  t.equal(leases.changedSince('/a', 3), undefined, 'it has not come so far')

  end('changed')
  end('changed', ['refs/heads/three'])
  t.equal(leases.changedSince('/a', 2), undefined, 'one did not tell')
  t.same(leases.changedSince('/a', 3), ['refs/heads/three'])
  leases.invalidate('/a')
  t.equal(leases.changedSince('/a', 4), undefined, 'an invalidation')
  t.same(leases.changedSince('/a', 5), [])
  leases.open('/a', 1000)
  pass(1000)
  t.equal(leases.changedSince('/a', 5), undefined, 'a lease has expired')
  end('changed', ['refs/heads/four'])
  t.same(leases.changedSince('/a', 6), ['refs/heads/four'])

  const { id } = leases.open('/b', 60_000)
  const next = new Leases(new LeaseJournal(directory))
  t.teardown(() => next.close())
  const { changes } = next.statusOf('/b')
  next.end(id, 'changed', ['refs/heads/five'])
  t.same(next.changedSince('/b', changes), ['refs/heads/five'], 'a lease that was restored')
})
