import { statfsSync } from 'node:fs'
import type { MountTable } from './mount-table.js'

/**
 * Filesystems whose timestamps may be late, from another host's clock, or from a cache: they may not show a change that
 * another host has finished. Magic numbers as in statfs(2) and Linux's include/uapi/linux/magic.h. FUSE is among them
 * because sshfs, glusterfs, s3fs and virtiofs have its number, and their stat results are cached as well.
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

/** Types in the mount table that differ from the names above. */
const aliases = new Map([
  ['nfs4', 'nfs'],
  ['smbfs', 'smb'],
  ['smb3', 'smb2'],
  ['fuseblk', 'fuse'],
  ['virtiofs', 'fuse'],
])
const networkNames = new Set(networkTypes.values())

/**
 * Returns the name of the network filesystem that a path lies on; undefined: it lies on a local or an unknown one.
 * @param path free of links
 * @param mounts used instead of statfs(2), which may hang
 */
export function networkFilesystem(path: string, mounts?: MountTable): string | undefined {
  const type = mounts?.at(path)?.type
  if (type !== undefined) {
    const name = aliases.get(type) ?? type.replace(/^fuse\..*/, 'fuse')
    return networkNames.has(name) ? name : undefined
  }
  try {
    // Signed on some architectures.
    return networkTypes.get(statfsSync(path).type >>> 0)
  } catch {
    return undefined
  }
}
