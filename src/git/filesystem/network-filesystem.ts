import { statfsSync } from 'node:fs'
import type { MountTable } from './mount-table.js'

/**
 * Filesystems whose timestamps may come late, from another host's clock, or out of a cache: a change that another host
 * has finished may not show in them yet. Magic numbers as in statfs(2) and Linux's include/uapi/linux/magic.h. FUSE is
 * among them because sshfs, glusterfs, s3fs and virtiofs all go by its number, and stat is cached there as well.
 */
const networkTypes = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x65735546, 'fuse'],
  [0x01021997, '9p'],
  [0x00c36400, 'ceph'],
  [0x0bd00bd0, 'lustre'],
  [0x5346414f, 'afs'],
  [0x6b414653, 'kafs'],
  [0x73757245, 'coda'],
  [0x01161970, 'gfs2'],
  [0x7461636f, 'ocfs2'],
  [0x47504653, 'gpfs'],
  [0x19830326, 'beegfs'],
  [0x786f4256, 'vboxsf'],
])

/** Types as the table of mounts has them, where they are other words than the names above. */
const names = new Map([
  ['nfs4', 'nfs'],
  ['smbfs', 'smb'],
  ['smb3', 'smb2'],
  ['fuseblk', 'fuse'],
  ['virtiofs', 'fuse'],
])
const networkNames = new Set(networkTypes.values())

/**
 * The name of the network filesystem that a path lies on; undefined: it is on a local one, as far as one can know.
 * @param path free of links
 * @param mounts asked instead of the filesystem, which may not answer
 */
export function networkFilesystem(path: string, mounts?: MountTable): string | undefined {
  const type = mounts?.at(path)?.type
  if (type !== undefined) {
    const name = names.get(type) ?? type.replace(/^fuse\..*/, 'fuse')
    return networkNames.has(name) ? name : undefined
  }
  try {
    // Some architectures have it signed.
    return networkTypes.get(statfsSync(path).type >>> 0)
  } catch {
    return undefined
  }
}
