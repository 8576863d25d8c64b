import { join } from 'node:path'
import { FleetLeaseFiles } from '../../fleet/engines/table/fleet-lease-journal.js'
import type { TableEngineOptions } from '../../fleet/engines/table/table-engine.js'
import { InstanceDirectory } from '../../streamcache/index.js'
import type { Log } from '../../telemetry/log.js'

/** Where the open mutator leases of all workers are kept over a crash. */
export interface OpenedJournal extends Pick<TableEngineOptions, 'journal' | 'journalFailed'> {
  /** Leaves the leases to the next primary. Never rejects. */
  release(): Promise<void>
}

/**
 * Opens the journal in the first part of `fleet-leases/` in the cache directory that no other refstream uses. Never rejects:
 * without a journal leases work, but do not survive a crash.
 */
export async function openLeaseJournal(cacheDirectory: string, log: Log): Promise<OpenedJournal> {
  const directory = join(cacheDirectory, 'fleet-leases')
  let works = true
  const journalFailed = (err: unknown): void => {
    if (works)
      log.error(
        { err, journal: directory },
        'leases cannot be written to disk; they will not survive a crash',
      )
    works = false
  }
  try {
    const own = await InstanceDirectory.acquire(directory)
    const journal = new FleetLeaseFiles(join(own.directory, 'leases'))
    return { journal, journalFailed, release: () => own.release().catch(() => {}) }
  } catch (error) {
    journalFailed(error)
    return { release: () => Promise.resolve() }
  }
}
