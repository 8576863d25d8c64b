import t from 'tap'
import { MountTable } from '../../../src/git/filesystem/mount-table.js'

const line = (id: number, parent: number, point: string, type: string): string =>
  `${id} ${parent} 0:${id} / ${point} rw,relatime - ${type} some:/thing rw\n`

t.test('a path lies on the mount with the longest mount point', async (t) => {
  const mounts = [line(1, 0, '/', 'ext4'), line(2, 1, '/a', 'nfs4'), line(3, 2, '/a/b', 'xfs')]
  const table = new MountTable(() => Buffer.from(mounts.join('')))
  for (const [path, type] of Object.entries({
    '/': 'ext4',
    '/x': 'ext4',
    '/a': 'nfs4',
    '/ab': 'ext4',
    '/a/x/y': 'nfs4',
    '/a/b': 'xfs',
    '/a/b/c': 'xfs',
    '/a/bc': 'nfs4',
  }))
    t.equal(table.at(path)?.type, type, path)
})

t.test('the table is read again after a time that bounds the cost', async (t) => {
  let now = 0
  let reads = 0
  let mounts = line(1, 0, '/', 'ext4')
  const table = new MountTable(
    () => {
      reads++
      return Buffer.from(mounts)
    },
    () => now,
  )
  t.equal(table.guard(), undefined)
  mounts += line(2, 1, '/mnt', 'nfs')
  t.equal(table.guard(), undefined)
  t.equal(reads, 1)
  now = 100
  t.throws(() => table.guard()!.check('/mnt'), { name: 'RemotePath', mount: { point: '/mnt', type: 'nfs' } })
  t.equal(table.guard(['2']), undefined, 'a mount that is allowed')
  t.equal(reads, 2)
})

t.test('without a table, no mount is known and none is guarded against', async (t) => {
  const table = new MountTable(() => {
    throw new Error('no /proc')
  })
  t.equal(table.guard(), undefined)
  t.equal(table.at('/'), undefined)
})

t.test('a slow reading of the table is repeated more rarely', async (t) => {
  let now = 0
  let reads = 0
  const table = new MountTable(
    () => {
      reads++
      now += 2
      return Buffer.from(line(1, 0, '/', 'ext4'))
    },
    () => now,
  )
  table.guard()
  now = 1001
  table.guard()
  t.equal(reads, 1, 'not before 500 times what it took')
  now = 1002
  table.guard()
  t.equal(reads, 2)
})

t.test('a guard remembers what it has checked until the table is read again', async (t) => {
  let now = 0
  const mounts = [line(1, 0, '/', 'ext4'), line(2, 1, '/mnt', 'nfs')]
  const table = new MountTable(
    () => Buffer.from(mounts.join('')),
    () => now,
  )
  const guard = table.guard()
  t.ok(guard)
  t.equal(table.guard(), guard)
  t.equal(table.guard(['2']), undefined)
  now = 100
  t.not(table.guard(), guard)
})
