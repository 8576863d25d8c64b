import { join } from 'node:path'
import type { Settings } from '../../config/options/options.js'
import { PackCache } from '../../freshness/pack-cache.js'
import { retriable } from '../../origin/faults/faults.js'
import { StreamCache } from '../../streamcache/index.js'
import type { Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'
import { cacheEvents } from '../cache/cache.js'

/** Most packs that are kept, whatever their size. */
const packsMax = 10_000
/** Bytes of a pack in memory before it is decided whether to write it to disk; less if all packs have little memory. */
const windowBytes = { most: 8 * 1024 * 1024, least: 1024 * 1024 }

/** Bytes per read from disk, and how many reads the followers of a storm share: packs are mostly larger than memory. */
const coldReads = { coldReadBytes: 1024 * 1024, coldReadsShared: 16 }

/** The packs that are kept, and the engine below them. */
export interface Packs {
  readonly cache: StreamCache
  readonly packCache: PackCache
}

/** Opens the engine for packs, in a directory of its own below the cache directory. */
export async function openPacks(
  settings: Settings,
  cacheDirectory: string,
  metrics: Metrics,
  log: Log,
): Promise<Packs> {
  const directory = join(cacheDirectory, 'packs')
  const { packMaxAgeSeconds, packMemoryMaxBytes } = settings
  const cache = await StreamCache.open({
    directory,
    maxBytes: settings.packCacheMaxBytes,
    maxEntries: packsMax,
    maxEntryBytes: settings.packCacheMaxEntryBytes,
    minFreeBytes: settings.cacheMinFreeBytes,
    minFreeInodes: settings.cacheMinFreeInodes,
    maxAgeMs: Math.max(1, packMaxAgeSeconds * 1000),
    hotMaxBytes: packMemoryMaxBytes,
    maxLeadBytes: Math.max(windowBytes.least, Math.min(windowBytes.most, packMemoryMaxBytes / 4)),
    memoryFirst: true,
    ...coldReads,
    // A pack takes as long as it takes; the wait for a permit has a limit of its own.
    fillTimeoutMs: Infinity,
    fillStartMs: Infinity,
    fillSilenceMs: settings.passThroughSilenceSeconds * 1000,
    fillRetries: settings.fillRetries,
    repeatable: false,
    retriable,
    retried: () => metrics.fillRetries.inc(),
    events: cacheEvents(directory, metrics, log),
  })
  const packCache = new PackCache({
    cache,
    maxAgeMs: packMaxAgeSeconds * 1000,
    graceMs: settings.packGraceSeconds * 1000,
  })
  return { cache, packCache }
}
