import t from 'tap'
import type { Hint } from '../../../../src/fleet/engine.js'
import { LeaseTable } from '../../../../src/fleet/engines/table/lease-table.js'
import { TableEngine } from '../../../../src/fleet/engines/table/table-engine.js'
import { timerMaxMs } from '../../../../src/limits/clock.js'
import { FakeClock } from '../../../support/fake-clock.js'
import { leaseId } from '../../engine-names.js'

const lease = (ttlMs: number) => ({
  id: leaseId('r'),
  repository: 'r',
  name: 'r.git',
  reason: undefined,
  openedAtMs: 0,
  ttlMs,
})

t.test('the end of a time limit is told to watchers by itself', async (t) => {
  const clock = new FakeClock()
  const table = new TableEngine({ clock })
  const one = lease(500)
  await table.openLease(one)
  await table.openLease(lease(2 * timerMaxMs))
  await table.renewLease(one.id, 1000)
  const hints: Hint[] = []
  const stop = table.watch((hint) => hints.push(hint))
  clock.advance(999)
  t.same(hints, [])
  clock.advance(1)
  t.same(hints, [{ kind: 'epoch', repository: 'r' }])
  t.equal(clock.timers, 1, 'a renewal leaves no timer behind')
  stop()
  await table.change('r')
  t.equal(hints.length, 1)
})

t.test('a lease whose timer is late has expired', async (t) => {
  const ends: string[] = []
  let now = 0
  const table = new LeaseTable({
    clock: { now: () => now, after: () => () => undefined },
    opened: () => undefined,
    ended: (_, end) => ends.push(end),
  })
  const all = [lease(500), lease(500), lease(500), lease(500), lease(501)]
  for (const one of all) table.open(one)
  now = 500
  t.equal(table.end(all[0]!.id, 'unchanged'), undefined)
  t.equal(table.renew(all[1]!.id), undefined)
  t.same(ends, ['expired', 'expired'])
  t.equal(table.openOf('r'), 1)
  t.same(ends, Array(4).fill('expired'))
  now = 501
  t.same(table.list(), [])
  t.equal(ends.length, 5)
})

t.test('a watcher is called after the change has taken effect', async (t) => {
  const table = new TableEngine({ clock: new FakeClock() })
  const seen: unknown[] = []
  table.watch(() => void table.epochs(['r']).then(([epoch]) => seen.push(epoch)))
  const one = lease(500)
  await table.openLease(one)
  await table.change('r')
  await table.endLease(one.id, 'changed')
  await Promise.resolve()
  t.match(seen, [
    { open: 1, openings: 1, changes: 0 },
    { open: 1, openings: 1, changes: 1 },
    { open: 0, openings: 1, changes: 2 },
  ])
})
