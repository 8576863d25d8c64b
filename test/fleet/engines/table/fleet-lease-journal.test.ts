import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FleetLeaseFiles } from '../../../../src/fleet/engines/table/fleet-lease-journal.js'
import { TableEngine } from '../../../../src/fleet/engines/table/table-engine.js'
import { FakeClock } from '../../../support/fake-clock.js'
import { tempDir } from '../../../support/temp-dir.js'
import { leaseId } from '../../engine-names.js'

const lease = (changes: object = {}) => {
  const repository = 'a-digest_1'
  const id = leaseId(repository)
  return { id, repository, name: 'größer.git', reason: 'a\nreason', openedAtMs: 1e12, ttlMs: 900, ...changes }
}
/** A table whose process began `wallNow` milliseconds after 1970. */
const start = (directory: string, wallNow: number) => {
  const clock = new FakeClock()
  const begun = clock.now()
  const journal = new FleetLeaseFiles(directory)
  const table = new TableEngine({ clock, journal, wallNow: () => wallNow + clock.now() - begun })
  return { clock, table }
}
const epochOf = async (table: TableEngine) => (await table.epochs(['a-digest_1']))[0]!

t.test('mutator leases survive a crash of the process, and expire at the same time', async (t) => {
  const directory = join(tempDir(t), 'leases')
  const before = start(directory, 5000)
  const [one, two] = [lease(), lease({ reason: undefined })]
  await before.table.openLease(one)
  await before.table.openLease(two)
  before.clock.advance(300)
  await before.table.renewLease(two.id, 2000)
  // Not closed, as after kill -9. The next process begins 100 ms later.
  const after = start(directory, 5400)
  t.same(
    (await after.table.leases()).map(({ id, leftMs }) => [id, leftMs]).sort(),
    [
      [one.id, 500],
      [two.id, 1900],
    ].sort(),
  )
  t.match(
    (await after.table.leases()).find(({ id }) => id === one.id),
    one,
  )
  const epoch = await epochOf(after.table)
  t.match(epoch, { open: 2 })
  t.not(epoch.incarnation, (await epochOf(before.table)).incarnation, 'counts must not be compared')
  after.clock.advance(500)
  t.match(await epochOf(after.table), { open: 1, changes: epoch.changes + 1 })
  t.match(await after.table.endLease(two.id, 'changed'), { id: two.id })
  t.same(readdirSync(directory), [], 'leases that have ended leave no files')
})

t.test('a lease that has expired meanwhile counts as a change', async (t) => {
  const directory = tempDir(t)
  const one = lease()
  await start(directory, 5000).table.openLease(one)
  const { table } = start(directory, 6000)
  t.match(await epochOf(table), { open: 0, openings: 1, changes: 1 })
  t.same(readdirSync(directory), [])
})

t.test('a system clock that was set back does not make a lease longer', async (t) => {
  const directory = tempDir(t)
  await start(directory, 5000).table.openLease(lease())
  const { table, clock } = start(directory, 0)
  clock.advance(900)
  t.match(await epochOf(table), { open: 0, changes: 1 })
})

t.test('leases stay for the next process when the table is closed', async (t) => {
  const directory = tempDir(t)
  const { table, clock } = start(directory, 5000)
  await table.openLease(lease())
  await table.close()
  t.equal(clock.timers, 0)
  t.match(await epochOf(start(directory, 5000).table), { open: 1 })
})

t.test('a file with an id of another form is no lease', async (t) => {
  const directory = tempDir(t)
  const odd = { ...lease(), id: 'another.git', expiresAtMs: 1e15 }
  writeFileSync(join(directory, odd.id), JSON.stringify(odd))
  const foreign = { ...lease(), repository: 'another', expiresAtMs: 1e15 }
  writeFileSync(join(directory, foreign.id), JSON.stringify(foreign))
  t.same(new FleetLeaseFiles(directory).open(), [])
})

t.test('leases work without the journal, which is reported', async (t) => {
  const failures: unknown[] = []
  const error = new Error('no space left on device')
  const fail = (): never => {
    throw error
  }
  const table = new TableEngine({
    journal: { open: fail, write: fail, remove: fail },
    journalFailed: (error) => failures.push(error),
  })
  t.teardown(() => table.close())
  const one = lease()
  await table.openLease(one)
  t.match(await epochOf(table), { open: 1 })
  t.match(await table.endLease(one.id, 'changed'), { id: one.id })
  t.same(failures, [error, error, error])
})
