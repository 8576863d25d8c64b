import type { Settings } from '../../config/options/options.js'
import { retriable } from '../../origin/faults/faults.js'
import { StreamCache, type StoreOperation, type StreamCacheEvents } from '../../streamcache/index.js'
import { atMostEvery, type Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'

/** Least time in milliseconds between two log lines about a cache directory that fails. */
const failureQuietMs = 60_000

/**
 * Opens the engine, and counts and logs its events.
 * @param processes how many processes of this refstream use the directory; 1 if left out
 */
export async function openCache(
  settings: Settings,
  directory: string,
  metrics: Metrics,
  log: Log,
  processes = 1,
): Promise<StreamCache> {
  const cache = await StreamCache.open({
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
    // The wait for a permit has a limit of its own (limits/process/process-limiter.ts).
    fillStartMs: settings.fillTimeoutSeconds * 1000,
    fillFirstByteMs: settings.fillFirstByteSeconds * 1000,
    fillSilenceMs: settings.fillSilenceSeconds * 1000,
    fillRetries: settings.fillRetries,
    retriable,
    retried: () => metrics.fillRetries.inc(),
    events: cacheEvents(directory, metrics, log),
  })
  const { instance } = cache
  // Its own processes have the first parts.
  if (instance !== undefined && instance >= processes) {
    log.info(
      { instance, directory },
      'another refstream uses the cache directory; this process has a part of its own in it',
    )
  }
  return cache
}

/** Returns listeners that count and log an engine's events. */
export function cacheEvents(directory: string, metrics: Metrics, log: Log): StreamCacheEvents {
  const logFailure = atMostEvery(failureQuietMs, (operation: StoreOperation, err: unknown) =>
    log.error(
      { err, operation, directory },
      'the cache directory cannot be used; requests are served uncached',
    ),
  )
  return {
    evicted: (reason) => metrics.evictions.inc({ reason }),
    revised: (bytes) => metrics.storeRevisedBytes.inc(bytes),
    rebased: (bytes) => metrics.storeRebasedBytes.inc(bytes),
    discarded: (reason) => {
      metrics.discarded.inc({ reason })
      log.info({ reason, directory }, 'discarded a file in the cache directory')
    },
    restored: ({ entries, ms }) => {
      if (entries === 0) return
      log.info(
        { entries, seconds: Number((ms / 1000).toFixed(3)), directory },
        'the entries in the cache directory are read; its limits apply to them from now on',
      )
    },
    storeFull: (free) => {
      log.warn(
        { free, directory },
        'the filesystem of the cache is nearly full; new entries are served but not stored',
      )
    },
    storeResumed: () => {
      log.info({ directory }, 'the filesystem of the cache has enough free space again; storing entries')
    },
    storeFailed: (operation, err) => {
      metrics.storeErrors.inc({ operation })
      logFailure(operation, err)
    },
  }
}
