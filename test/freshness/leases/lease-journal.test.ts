import t from 'tap'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LeaseJournal } from '../../../src/freshness/leases/lease-journal.js'
import type { Lease } from '../../../src/freshness/leases/lease.js'
import { hasMkfifo, makeFifo, oddFiles } from '../../support/odd-files.js'
import { tempDir } from '../../support/temp-dir.js'

const lease = (changes: Partial<Lease> = {}): Lease => ({
  id: 'abcdefghijklmnopqrst-_',
  repository: '/srv/git/größer "r".git',
  reason: 'a\nreason',
  openedAt: new Date(1e12),
  ttlMs: 1500.5,
  expiresAt: new Date(1e12 + 1500),
  ...changes,
})

t.test('leases are read again as they were written', async (t) => {
  const directory = join(tempDir(t), 'deep/leases')
  const journal = new LeaseJournal(directory)
  t.same(journal.open(), [])
  const other = lease({ id: '0123456789012345678901', reason: undefined })
  journal.write(lease())
  journal.write(other)
  journal.write(lease({ ttlMs: 7 }))
  const byId = (): Lease[] => new LeaseJournal(directory).open().sort((a, b) => (a.id < b.id ? -1 : 1))
  t.strictSame(byId(), [other, lease({ ttlMs: 7 })], 'a later version replaces the earlier one')
  journal.remove(other.id)
  journal.remove(other.id)
  t.strictSame(byId(), [lease({ ttlMs: 7 })])
})

t.test('ids are secret: other users of the system cannot read the files', async (t) => {
  const directory = join(tempDir(t), 'leases')
  const journal = new LeaseJournal(directory)
  journal.open()
  journal.write(lease())
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.equal(statSync(join(directory, lease().id)).mode & 0o777, 0o600)
})

t.test('files that are no leases are removed, and the others are read', async (t) => {
  const directory = tempDir(t)
  const journal = new LeaseJournal(directory)
  journal.write(lease())
  const text = JSON.stringify(lease({ id: 'another-id-of-22-chars' }))
  writeFileSync(join(directory, 'another-id-of-22-chars.new'), text)
  writeFileSync(join(directory, 'a-cut-lease-of-22-char'), text.slice(0, 50))
  writeFileSync(join(directory, 'empty'), '')
  writeFileSync(join(directory, 'under-another-name-000'), text)
  writeFileSync(join(directory, 'bad-date'), JSON.stringify({ ...lease({ id: 'bad-date' }), openedAt: 'x' }))
  mkdirSync(join(directory, 'a-directory/in-it'), { recursive: true })
  t.strictSame(journal.open(), [lease()])
  t.same(readdirSync(directory), [lease().id])
})

t.test('a file that cannot be removed is skipped', { skip: !existsSync('/proc/self/attr') }, async (t) => {
  t.same(new LeaseJournal('/proc/self/attr').open(), [])
})

t.test('special files do not block, and are removed', async (t) => {
  for (const [name, make] of Object.entries(oddFiles)) {
    const directory = tempDir(t)
    const journal = new LeaseJournal(directory)
    journal.write(lease())
    await make(join(directory, 'under-another-name-000'))
    t.strictSame(journal.open(), [lease()], name)
    t.same(readdirSync(directory), [lease().id], name)
  }
})

t.test('a pipe in the way of a lease is an error', { skip: !hasMkfifo && 'no mkfifo' }, async (t) => {
  const directory = tempDir(t)
  makeFifo(join(directory, `${lease().id}.new`))
  t.throws(() => new LeaseJournal(directory).write(lease()), { code: 'ENXIO' })
})
