import type { Test } from 'tap'
import { join } from 'node:path'
import { DiskFile } from '../../src/streamcache/disk/disk-file.js'
import { GrowingFile } from '../../src/streamcache/growing/growing-file.js'
import { HotTier } from '../../src/streamcache/memory/hot-tier.js'
import { tempDir } from './temp-dir.js'

export interface TestFile {
  readonly file: GrowingFile
  readonly disk: DiskFile
  readonly directory: string
  readonly hot: HotTier
  /** The errors passed to writeFailed. */
  readonly writeErrors: unknown[]
  /** The errors passed to readFailed. */
  readonly readErrors: unknown[]
  /** Followers attached now, counted by `followed`. */
  followers: number
}

/** Makes a growing file with its file on disk; with `stored: false` the test calls storeOn(). */
export async function growingFile(
  t: Test,
  {
    hotMaxBytes = 1 << 26,
    maxLeadBytes = 1 << 26,
    patienceMs = undefined as number | undefined,
    stored = true,
  } = {},
): Promise<TestFile> {
  const hot = new HotTier(hotMaxBytes)
  const writeErrors: unknown[] = []
  const readErrors: unknown[] = []
  const directory = tempDir(t)
  const file = new GrowingFile({
    hot,
    maxLeadBytes,
    patienceMs,
    writeFailed: (error) => writeErrors.push(error),
    readFailed: (error) => readErrors.push(error),
    followed: (change) => (test.followers += change),
  })
  const disk = await DiskFile.create(join(directory, 'temporary'))
  t.teardown(() => disk.close())
  const test: TestFile = { file, disk, directory, hot, writeErrors, readErrors, followers: 0 }
  if (stored) file.spill.storeOn(disk)
  return test
}

/** Returns the system error of a full disk. */
export function noSpace(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
}
