import t from 'tap'
import { mayHang, parseMountinfo, reachable } from '../../../src/git/filesystem/mountinfo.js'
import { MountTable } from '../../../src/git/filesystem/mount-table.js'
import { pathText } from '../../../src/git/filesystem/byte-path.js'

const line = (id: number, parent: number, point: string, type: string, optional = ''): string =>
  `${id} ${parent} 0:${id} / ${point} rw,relatime ${optional}- ${type} some:/thing rw\n`

t.test('lines are read as the kernel writes them', async (t) => {
  const text = Buffer.concat([
    Buffer.from(line(21, 1, '/', 'ext4', 'shared:1 ')),
    Buffer.from(line(22, 21, '/a\\040b\\011c\\134d\\012e', 'nfs4', 'master:1 propagate_from:2 ')),
    Buffer.from(line(23, 21, '/x-y - z'.replaceAll(' ', '\\040'), 'fuse.sshfs')),
    Buffer.from('24 21 0:24 / /caf\xe9 rw - cifs //host/share rw\n', 'latin1'),
    Buffer.from('25 21 0:25 / /caf\u00e9 rw - 9p none rw\n'),
    Buffer.from('nonsense\n26 21 0:26 / /cut rw\n27 21 0:27 / relative rw - nfs x rw\n\n'),
  ])
  t.same(parseMountinfo(text), [
    { id: '21', parent: '1', point: '/', type: 'ext4' },
    { id: '22', parent: '21', point: '/a b\tc\\d\ne', type: 'nfs4' },
    { id: '23', parent: '21', point: '/x-y - z', type: 'fuse.sshfs' },
    { id: '24', parent: '21', point: pathText(Buffer.from('/caf\xe9', 'latin1')), type: 'cifs' },
    { id: '25', parent: '21', point: '/café', type: '9p' },
  ])
})

t.test('what may hang: all that is not known to be local', async (t) => {
  const hangs = (point: string, type: string) => mayHang({ id: '2', parent: '1', point, type })
  for (const type of ['nfs', 'nfs4', 'cifs', 'fuse', 'fuse.bindfs', 'fuseblk', '9p', 'ceph', 'autofs', 'new'])
    t.ok(hangs('/mnt', type), type)
  for (const type of ['ext4', 'xfs', 'btrfs', 'zfs', 'tmpfs', 'overlay']) t.notOk(hangs('/mnt', type), type)
  t.notOk(hangs('/', 'nfs'), 'without the root, nothing runs')
  t.notOk(hangs('/proc/sys/fs/binfmt_misc', 'autofs'))
  t.ok(hangs('/process', 'nfs'))
})

t.test('what lies under another mount cannot be reached', async (t) => {
  const points = (...lines: string[]) =>
    Object.fromEntries(
      [...reachable(parseMountinfo(Buffer.from(lines.join(''))))].map(([point, { type }]) => [point, type]),
    )
  const root = line(1, 0, '/', 'ext4')
  t.same(points(root, line(2, 1, '/mnt', 'nfs4'), line(3, 2, '/mnt', 'tmpfs')), {
    '/': 'ext4',
    '/mnt': 'tmpfs',
  })
  t.same(
    points(root, line(2, 1, '/mnt/a', 'nfs4'), line(3, 2, '/mnt/a/b', 'cifs'), line(4, 1, '/mnt', 'tmpfs')),
    { '/': 'ext4', '/mnt': 'tmpfs' },
    'with what is mounted on it',
  )
  t.same(
    points(root, line(4, 1, '/mnt', 'tmpfs'), line(2, 4, '/mnt/a', 'nfs4'), line(5, 1, '/mntx', 'xfs')),
    { '/': 'ext4', '/mnt': 'tmpfs', '/mnt/a': 'nfs4', '/mntx': 'xfs' },
    'unlike what came later',
  )
  t.same(points(line(7, 3, '/', 'overlay'), line(8, 7, '/data', 'virtiofs')), {
    '/': 'overlay',
    '/data': 'virtiofs',
  })
})

t.test('a path lies on the mount with the longest point', async (t) => {
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

t.test('the table is read again after a while, and no longer costs anything than it must', async (t) => {
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
  t.equal(table.guard(['2']), undefined, 'it is allowed')
  t.equal(reads, 2)
})

t.test('without a table, there is nothing to say', async (t) => {
  const table = new MountTable(() => {
    throw new Error('no /proc')
  })
  t.equal(table.guard(), undefined)
  t.equal(table.at('/'), undefined)
})
