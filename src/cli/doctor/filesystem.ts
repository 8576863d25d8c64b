import { access, constants, statfs } from 'node:fs/promises'
import { networkFilesystem } from '../../git/filesystem/network-filesystem.js'
import type { MountTable } from '../../git/filesystem/mount-table.js'
import { fine, warning, type Finding } from './finding.js'

/** Below this, a push of some size fails. */
const lowBytes = 256 * 1024 ** 2
const lowInodes = 1000

/**
 * Checks the filesystem of the repositories root: its type, what is free, and whether this user may write there.
 * @param root free of links; its filesystem has just answered
 */
export async function checkRoot(root: string, mounts: MountTable): Promise<Finding> {
  const { blocks, bavail, bsize, files, ffree } = await statfs(root)
  const isWritable = await access(root, constants.W_OK).then(
    () => true,
    () => false,
  )
  const line = [
    `root: ${root}`,
    `on ${typeAt(root, mounts)}`,
    blocks > 0 ? `${size(bavail * bsize)} free` : 'free space not reported by the filesystem',
    ...(isWritable ? [] : ['not writable by this user']),
  ].join(', ')
  if (blocks > 0 && bavail * bsize < lowBytes)
    return warning(`${line}: pushes and git gc will fail; make room or enlarge the filesystem`)
  if (files > 0 && ffree < lowInodes)
    return warning(`${line}, ${ffree} inodes free: pushes and git gc will fail; remove files or run git gc`)
  return fine(line)
}

/** Warns if the cache directory lies on a filesystem that another host serves. @param directory absolute */
export function checkCacheFilesystem(directory: string, mounts: MountTable): Finding[] {
  const type = networkFilesystem(directory, mounts)
  if (type === undefined) return []
  return [
    warning(
      `cache: ${directory} is on a network filesystem, ${type}: answers are as slow as that, and fail with it; ` +
        'give a directory on a local disk by --cache-dir',
    ),
  ]
}

const typeAt = (path: string, mounts: MountTable): string =>
  mounts.at(path)?.type ?? 'a filesystem of unknown type'

/** Returns a number of bytes with a unit, for people. */
export function size(bytes: number): string {
  const unit = [
    [1024 ** 3, 'GiB'],
    [1024 ** 2, 'MiB'],
    [1024, 'KiB'],
  ] as const
  const [factor, name] = unit.find(([factor]) => bytes >= factor) ?? [1, 'bytes']
  return `${Number((bytes / factor).toFixed(1))} ${name}`
}
