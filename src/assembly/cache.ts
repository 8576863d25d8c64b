import type { Settings } from '../config/options.js'
import { retriable } from '../service/failures.js'
import { StreamCache, type StoreOperation } from '../streamcache/index.js'
import { atMostEvery, type Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'

/** The engine, by the settings, with its events counted and logged. */
export function openCache(
  settings: Settings,
  directory: string,
  metrics: Metrics,
  log: Log,
): Promise<StreamCache> {
  const tellFailure = atMostEvery(60_000, (operation: StoreOperation, err: unknown) =>
    log.error({ err, operation, directory }, 'the cache directory fails; requests are served uncached'),
  )
  return StreamCache.open({
    directory,
    maxBytes: settings.cacheMaxBytes,
    maxEntries: settings.cacheMaxEntries,
    maxEntryBytes: settings.cacheMaxEntryBytes,
    minFreeBytes: settings.cacheMinFreeBytes,
    minFreeInodes: settings.cacheMinFreeInodes,
    maxAgeMs: settings.cacheMaxAgeSeconds * 1000,
    hotMaxBytes: settings.hotMaxBytes,
    maxLeadBytes: settings.maxLeadBytes,
    fillTimeoutMs: settings.fillTimeoutSeconds * 1000,
    // Who waits for a process has limits of his own (limits/slots.ts).
    fillStartMs: settings.fillTimeoutSeconds * 1000,
    fillFirstByteMs: settings.fillFirstByteSeconds * 1000,
    fillSilenceMs: settings.fillSilenceSeconds * 1000,
    fillRetries: settings.fillRetries,
    retriable,
    retried: () => metrics.fillRetries.inc(),
    events: {
      evicted: (reason) => metrics.evictions.inc({ reason }),
      discarded: (reason) => {
        metrics.discarded.inc({ reason })
        log.info({ reason, directory }, 'discarded a file of the cache')
      },
      storeFull: (free) => {
        metrics.storeFull.set(1)
        log.warn(
          { free, directory },
          'the cache’s filesystem is nearly full: nothing is stored, all is served',
        )
      },
      storeResumed: () => {
        metrics.storeFull.set(0)
        log.info({ directory }, 'the cache’s filesystem has room again')
      },
      storeFailed: (operation, err) => {
        metrics.storeErrors.inc({ operation })
        tellFailure(operation, err)
      },
    },
  })
}
