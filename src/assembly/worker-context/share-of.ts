import type { Settings } from '../../config/options/options.js'

/**
 * Limits of the whole that are divided among workers, with the least that a worker needs. All other numbers are ages, time
 * limits, sizes of one thing, or limits for one thing that one worker alone has: an entry, a repository, a client.
 */
export const divided = {
  cacheMaxBytes: 0,
  cacheMaxEntries: 1,
  hotMaxBytes: 0,
  packCacheMaxBytes: 0,
  packMemoryMaxBytes: 0,
  maxProcesses: 3,
  maxPackProcesses: 1,
  queueMax: 1,
  maxRequests: 1,
  maxBodyMemoryBytes: 0,
  upstreamConnections: 3,
} as const satisfies Partial<Record<keyof Settings, number>>

/** Returns the settings of one of `count` workers, so that all together keep within those of the whole. */
export function shareOf(settings: Settings, count: number): Settings {
  const shares: Record<string, number> = {}
  for (const key of Object.keys(divided) as (keyof typeof divided)[]) {
    // A limit that is lower than the least is left as it is.
    const least = Math.min(settings[key], divided[key])
    shares[key] = Math.max(least, Math.ceil(settings[key] / count))
  }
  return { ...settings, ...shares }
}
