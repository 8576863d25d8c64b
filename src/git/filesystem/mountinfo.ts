import { pathText } from './byte-path.js'
import { pathWithin } from './path-within.js'

/** A mounted filesystem. */
export interface Mount {
  /** Unique as long as this mount exists. */
  readonly id: string
  readonly parent: string
  /** The directory or file that it covers: absolute and free of links. */
  readonly point: string
  /** The kernel's name: `ext4`, `nfs4`, `fuse.sshfs`. */
  readonly type: string
}

/**
 * Filesystems that always answer. Any other may wait for another machine, or for a program, without limit: NFS, SMB, FUSE
 * (fuseblk too), 9p, Ceph, autofs, and unknown ones.
 */
const localTypes = new Set([
  ...[
    'ext2',
    'ext3',
    'ext4',
    'xfs',
    'btrfs',
    'zfs',
    'bcachefs',
    'f2fs',
    'jfs',
    'reiserfs',
    'nilfs2',
    'ubifs',
  ],
  ...['vfat', 'exfat', 'msdos', 'ntfs', 'ntfs3', 'hfs', 'hfsplus', 'ufs', 'iso9660', 'udf', 'jffs2', 'minix'],
  ...['squashfs', 'erofs', 'cramfs', 'romfs', 'overlay', 'aufs', 'tmpfs', 'ramfs', 'rootfs', 'devtmpfs'],
  ...[
    'proc',
    'sysfs',
    'devpts',
    'mqueue',
    'hugetlbfs',
    'cgroup',
    'cgroup2',
    'cpuset',
    'bpf',
    'pstore',
    'nsfs',
  ],
  ...['securityfs', 'selinuxfs', 'debugfs', 'tracefs', 'configfs', 'efivarfs', 'fusectl', 'binfmt_misc'],
])

/** Mount points of the kernel's own filesystems; nearly every machine has an autofs mount for binfmt_misc there. */
const kernelsOwn = /^\/(?:proc|sys|dev)(?:\/|$)/

/** May a system call with a path on this mount hang? The root counts as local, of any type: without it, nothing runs. */
export const mayHang = ({ point, type }: Mount): boolean =>
  !localTypes.has(type) && point !== '/' && !kernelsOwn.test(point)

/** Parses /proc/self/mountinfo (proc_pid_mountinfo(5)). Lines that cannot be parsed are left out. */
export function parseMountinfo(text: Buffer): Mount[] {
  return text
    .toString('latin1')
    .split('\n')
    .flatMap((line) => {
      const fields = line.split(' ')
      const [id, parent, , , point] = fields
      // A hyphen ends any number of optional fields.
      const type = fields[fields.indexOf('-', 6) + 1]
      if (!id || !parent || !point?.startsWith('/') || fields.indexOf('-', 6) < 0 || !type) return []
      return [{ id, parent, point: unescape(point), type }]
    })
}

/** Space, tab, line feed and backslash are written as a backslash and three octal digits. */
const unescape = (point: string): string => {
  const bytes = point.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  )
  return pathText(Buffer.from(bytes, 'latin1'))
}

/** Returns, by mount point, the mounts that a path can lead to: those that no other mount covers. */
export function reachable(mounts: readonly Mount[]): Map<string, Mount> {
  const byId = new Map(mounts.map((mount) => [mount.id, mount]))
  const children = new Map<string, Mount[]>()
  for (const mount of mounts) {
    const siblings = children.get(mount.parent)
    if (siblings) siblings.push(mount)
    else children.set(mount.parent, [mount])
  }
  const found = new Map<string, Mount>()
  const visit = (mount: Mount): void => {
    found.set(mount.point, mount)
    const on = (children.get(mount.id) ?? []).filter((child) => child !== mount)
    for (const child of on) {
      // One on the same parent, mounted at a directory above it, came later: otherwise this one would be mounted on that one.
      const isHidden = on.some(
        ({ point }) => point !== child.point && pathWithin(point, child.point) !== undefined,
      )
      if (!isHidden) visit(child)
    }
  }
  for (const mount of mounts) if (mount.parent === mount.id || !byId.has(mount.parent)) visit(mount)
  return found
}
