import { rmSync, type Stats } from 'node:fs'
import { open, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Settings } from '../../config/options/options.js'
import type { ClockReading } from './clock.js'
import { size } from './filesystem.js'
import { fine, warning, wrong, type Finding } from './finding.js'

type Limits = Pick<Settings, 'cacheMinFreeBytes' | 'cacheMinFreeInodes'>

/** Bytes that are written as a trial. */
const trialBytes = 64 * 1024

/**
 * Checks whether entries can be stored in the cache directory: writes a file there and removes it. A missing directory is
 * not created, since it would belong to the user who runs the doctor; then its parent is checked.
 * @param readings gets what the filesystem's clock has shown, which is another host's on a network filesystem
 */
export async function checkCache(
  directory: string,
  limits: Limits,
  readings: ClockReading[] = [],
): Promise<Finding> {
  try {
    const { path, stats } = await nearestExisting(directory)
    if (!stats.isDirectory()) return unusable(directory, `${path} is not a directory`)
    readings.push({ of: `the filesystem of ${path}`, ...(await write(path)) })
    const short = await shortage(path, limits)
    if (short !== undefined)
      return wrong(`cache: ${directory}: ${short}: nothing is stored, requests are served uncached`)
    const parts = [
      `cache: ${directory}`,
      path === directory ? 'writable' : `will be created in ${path}`,
      await free(path),
    ]
    const line = parts.join(', ')
    if (stats.uid === process.getuid?.() || process.getuid?.() !== 0) return fine(line)
    return warning(
      `${line}; checked as root, who may do all, but it belongs to user ${stats.uid}: ` +
        `run refstream doctor as the user of refstream serve (sudo -u '#${stats.uid}')`,
    )
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const full = code === 'ENOSPC' || code === 'EDQUOT'
    return unusable(directory, full ? `its filesystem is full (${code})` : message)
  }
}

const unusable = (directory: string, reason: string): Finding =>
  wrong(`cache: ${directory} cannot be written: ${reason}; requests are served uncached`)

/** Resolves with the directory, or the nearest existing one above it. */
async function nearestExisting(directory: string): Promise<{ path: string; stats: Stats }> {
  try {
    return { path: directory, stats: await stat(directory) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(directory) === directory) throw error
    return nearestExisting(dirname(directory))
  }
}

/** Writes a file and removes it. @returns when that was, by the file's timestamp and by this machine's clock */
async function write(directory: string): Promise<Omit<ClockReading, 'of'>> {
  const since = Date.now()
  const path = join(directory, `.refstream-doctor-${process.pid}`)
  const file = await open(path, 'wx', 0o600)
  try {
    await file.write(Buffer.alloc(trialBytes))
    // Some filesystems report only now that they are full.
    await file.sync()
    const { mtimeMs } = await file.stat()
    return { from: mtimeMs, to: mtimeMs, since, until: Date.now() }
  } finally {
    await file.close()
    rmSync(path, { force: true })
  }
}

/** Describes what the filesystem has too little of; undefined: nothing. A total of 0 means that it does not count. */
async function shortage(path: string, limits: Limits): Promise<string | undefined> {
  const { blocks, bavail, bsize, files, ffree } = await statfs(path)
  const { cacheMinFreeBytes, cacheMinFreeInodes } = limits
  if (blocks > 0 && bavail * bsize < cacheMinFreeBytes) {
    return `${size(bavail * bsize)} free, less than --cache-min-free-bytes (${size(cacheMinFreeBytes)})`
  }
  if (files > 0 && ffree < cacheMinFreeInodes) {
    return `${ffree} inodes free, less than --cache-min-free-inodes (${cacheMinFreeInodes})`
  }
  return undefined
}

async function free(path: string): Promise<string> {
  const { blocks, bavail, bsize } = await statfs(path)
  return blocks > 0 ? `${size(bavail * bsize)} free` : 'free space not reported by the filesystem'
}
