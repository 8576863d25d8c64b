import { pathText } from './byte-path.js'

/** A filesystem that is mounted somewhere. */
export interface Mount {
  /** Of no other mount as long as this one exists. */
  readonly id: string
  readonly parent: string
  /** The directory or file that it lies over: absolute and free of links. */
  readonly point: string
  /** As the kernel calls it: `ext4`, `nfs4`, `fuse.sshfs`. */
  readonly type: string
}

/**
 * Filesystems that answer as long as this machine lives. What is not among them may wait for another machine, or for a
 * program, for ever: NFS, SMB, FUSE (fuseblk too), 9p, Ceph, autofs, and what nobody has heard of yet.
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

/** Where the kernel's own filesystems are; an automounter's place for binfmt_misc is on nearly every machine. */
const kernelsOwn = /^\/(?:proc|sys|dev)(?:\/|$)/

/**
 * May a path on it hang whoever looks at it? The root is taken for local, whatever it is: without it, nothing runs.
 */
export const mayHang = ({ point, type }: Mount): boolean =>
  !localTypes.has(type) && point !== '/' && !kernelsOwn.test(point)

/** Reads /proc/self/mountinfo (proc_pid_mountinfo(5)). What cannot be parsed is left out. */
export function parseMountinfo(text: Buffer): Mount[] {
  return text
    .toString('latin1')
    .split('\n')
    .flatMap((line) => {
      const fields = line.split(' ')
      const [id, parent, , , point] = fields
      // Optional fields stand before a hyphen, in any number.
      const type = fields[fields.indexOf('-', 6) + 1]
      if (!id || !parent || !point?.startsWith('/') || fields.indexOf('-', 6) < 0 || !type) return []
      return [{ id, parent, point: unescape(point), type }]
    })
}

/** Space, tab, line end and backslash are written as three octal digits. */
const unescape = (point: string): string => {
  const bytes = point.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  )
  return pathText(Buffer.from(bytes, 'latin1'))
}

/** By mount point, the mounts that a path can lead to: those that no other one lies over. */
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
      // One mounted on the same parent at a directory above it has come later, or it would be on that one.
      const isHidden = on.some(({ point }) => point !== child.point && isAtOrBelow(point, child.point))
      if (!isHidden) visit(child)
    }
  }
  for (const mount of mounts) if (mount.parent === mount.id || !byId.has(mount.parent)) visit(mount)
  return found
}

/** Is a path this directory, or below it? Both absolute and free of links. */
export const isAtOrBelow = (directory: string, path: string): boolean =>
  path === directory || path.startsWith(directory === '/' ? directory : `${directory}/`)
