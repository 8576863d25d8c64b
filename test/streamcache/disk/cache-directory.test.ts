import t from 'tap'
import { CacheDirectory } from '../../../src/streamcache/disk/cache-directory.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('while a disk has too much to do, no other file is begun, which is reported', async (t) => {
  const failures: string[] = []
  const directory = new CacheDirectory({
    directory: tempDir(t),
    operationMs: 10_000,
    minFreeBytes: 0,
    minFreeInodes: 0,
    found: () => {},
    scanning: () => {},
    discarded: () => {},
    failed: (operation, error) => failures.push(`${operation}: ${(error as Error).message}`),
    spaceChanged: () => {},
  })
  t.teardown(() => directory.close())
  await directory.open()
  await directory.listing
  const all = await Promise.all(Array.from({ length: 300 }, () => directory.create()))
  const files = all.filter((file) => file !== undefined)
  // Three run, and 256 wait.
  t.equal(files.length, 259)
  t.same(new Set(failures), new Set(['create: the disk has too much to do']))
  t.equal(failures.length, 41)
  const later = await directory.create()
  t.ok(later, 'it is used again')
  for (const file of [...files, later]) file?.close()
})
