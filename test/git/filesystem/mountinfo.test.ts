import t from 'tap'
import { mayHang, parseMountinfo, reachable } from '../../../src/git/filesystem/mountinfo.js'
import { pathText } from '../../../src/git/filesystem/byte-path.js'

const line = (id: number, parent: number, point: string, type: string, optional = ''): string =>
  `${id} ${parent} 0:${id} / ${point} rw,relatime ${optional}- ${type} some:/thing rw\n`

t.test('lines are parsed as the kernel writes them', async (t) => {
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

t.test('a mount may hang unless its type is known to be local', async (t) => {
  const hangs = (point: string, type: string) => mayHang({ id: '2', parent: '1', point, type })
  for (const type of ['nfs', 'nfs4', 'cifs', 'fuse', 'fuse.bindfs', 'fuseblk', '9p', 'ceph', 'autofs', 'new'])
    t.ok(hangs('/mnt', type), type)
  for (const type of ['ext4', 'xfs', 'btrfs', 'zfs', 'tmpfs', 'overlay']) t.notOk(hangs('/mnt', type), type)
  t.notOk(hangs('/', 'nfs'), 'without the root, nothing runs')
  t.notOk(hangs('/proc/sys/fs/binfmt_misc', 'autofs'))
  t.ok(hangs('/process', 'nfs'))
})

t.test('a mount that another mount covers cannot be reached', async (t) => {
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
