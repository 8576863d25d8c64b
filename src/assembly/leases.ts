import { LeaseJournal } from '../freshness/leases/lease-journal.js'
import { Leases, type LeaseEvents } from '../freshness/leases/leases.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'

/**
 * Opens the leases, with those that were open when an earlier process ended.
 * @param journal directory; undefined: there is none, and leases do not survive a crash
 */
export function openLeases(
  journal: string | undefined,
  metrics: Metrics,
  log: Log,
  changed: (commonDir: string) => void,
): Leases {
  let journalWorks = true
  return new Leases(journal === undefined ? undefined : new LeaseJournal(journal), {
    ...leaseEvents(metrics, log, changed),
    journalFailed: (err) => {
      if (journalWorks)
        log.error({ err, journal }, 'leases cannot be written to disk; they will not survive a crash')
      journalWorks = false
    },
  })
}

/** Returns listeners that count and log what becomes of leases. */
export function leaseEvents(metrics: Metrics, log: Log, changed: (subject: string) => void): LeaseEvents {
  return {
    opened: () => metrics.leasesOpened.inc(),
    ended: ({ repository, reason, ttlMs }, end) => {
      metrics.leasesEnded.inc({ end })
      if (end !== 'expired') return
      log.warn(
        { repository, reason, ttlSeconds: ttlMs / 1000 },
        'a lease expired; treating the repository as changed',
      )
    },
    changed,
  }
}
