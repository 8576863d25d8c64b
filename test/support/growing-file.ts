import type { Test } from 'tap'
import { join } from 'node:path'
import { DiskFile } from '../../src/streamcache/disk/disk-file.js'
import { GrowingFile } from '../../src/streamcache/growing-file.js'
import { HotTier } from '../../src/streamcache/memory/hot-tier.js'
import { tempDir } from './temp-dir.js'

export interface TestFile {
  readonly file: GrowingFile
  readonly disk: DiskFile
  readonly directory: string
  readonly hot: HotTier
  /** What writeFailed was told. */
  readonly writeErrors: unknown[]
  /** What readFailed was told. */
  readonly readErrors: unknown[]
  /** Followers attached now, by what `followed` was told. */
  followers: number
}

/** A growing file on a disk, which may still be to come: call storeOn(). */
export async function growingFile(
  t: Test,
  { hotMaxBytes = 1 << 26, maxLeadBytes = 1 << 26, stored = true } = {},
): Promise<TestFile> {
  const hot = new HotTier(hotMaxBytes)
  const writeErrors: unknown[] = []
  const readErrors: unknown[] = []
  const directory = tempDir(t)
  const file = new GrowingFile({
    hot,
    maxLeadBytes,
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

/** A system error as a full disk gives it. */
export function noSpace(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
}
