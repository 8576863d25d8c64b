import type { Test } from 'tap'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Makes a directory that is removed with the test. */
export function tempDir(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'refstream-test-'))
  t.teardown(() => removeAll(directory))
  return directory
}

/** Removes a directory, into which a process that was killed a moment ago, or a child of it, may still write. */
export async function removeAll(directory: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      // Its own retries do not list the directory again.
      return rmSync(directory, { recursive: true, force: true })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (attempt === 100 || (code !== 'ENOTEMPTY' && code !== 'EBUSY')) throw error
      await sleep(50)
    }
  }
}
