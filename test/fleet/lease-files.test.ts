import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LeaseFiles } from '../../src/fleet/lease-files.js'
import { tempDir } from '../support/temp-dir.js'

interface Kept {
  readonly id: string
  readonly version: number
}
const parse = (value: unknown): Kept => {
  const kept = value as Kept
  if (typeof kept.version !== 'number') throw new Error('no lease')
  return kept
}
const byId = (leases: Kept[]): Kept[] => leases.sort((a, b) => (a.id < b.id ? -1 : 1))

t.test('leases are read again as they were last written', async (t) => {
  const directory = join(tempDir(t), 'deep/leases')
  const files = new LeaseFiles(directory, parse)
  t.same(files.open(), [])
  files.write({ id: 'a', version: 1 })
  files.write({ id: 'b', version: 1 })
  files.write({ id: 'a', version: 2 })
  t.strictSame(byId(new LeaseFiles(directory, parse).open()), [
    { id: 'a', version: 2 },
    { id: 'b', version: 1 },
  ])
  files.remove('a')
  files.remove('a')
  t.strictSame(files.open(), [{ id: 'b', version: 1 }])
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.equal(statSync(join(directory, 'b')).mode & 0o777, 0o600, 'ids are secret')
})

t.test('files that are no leases are removed', async (t) => {
  const directory = tempDir(t)
  const files = new LeaseFiles(directory, parse)
  files.write({ id: 'a', version: 1 })
  writeFileSync(join(directory, 'a.new'), '{"id":"a","vers')
  writeFileSync(join(directory, 'under-another-name'), '{"id":"a","version":2}')
  writeFileSync(join(directory, 'empty'), '')
  mkdirSync(join(directory, 'a-directory/in-it'), { recursive: true })
  t.strictSame(files.open(), [{ id: 'a', version: 1 }])
  t.same(readdirSync(directory), ['a'])
})
