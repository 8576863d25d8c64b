import type { Test } from 'tap'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Makes a directory that is removed with the test. */
export function tempDir(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'refstream-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
