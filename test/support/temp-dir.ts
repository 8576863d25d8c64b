import type { Test } from 'tap'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Makes a directory that is removed with the test. */
export function tempDir(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'refstream-test-'))
  // A process that was killed a moment ago, or a child of it, may still write.
  const patience = { maxRetries: 20, retryDelay: 100 }
  t.teardown(() => rmSync(directory, { recursive: true, force: true, ...patience }))
  return directory
}
