import type { Test } from 'tap'
import { join } from 'node:path'
import { openCache } from '../../src/assembly/cache/cache.js'
import { openGit } from '../../src/assembly/environment/git.js'
import { openLeases } from '../../src/assembly/leases.js'
import { openLimits } from '../../src/assembly/limits/limits.js'
import { openOrigins, type Origins } from '../../src/assembly/origins/origins.js'
import { openPacks } from '../../src/assembly/origins/packs.js'
import { preflight } from '../../src/assembly/preflight.js'
import type { UpstreamCredentialFile } from '../../src/assembly/origins/upstream-credentials.js'
import { readFlags, resolveSettings } from '../../src/config/settings.js'
import { FreshCache } from '../../src/freshness/fresh-cache.js'
import type { FleetParts } from '../../src/assembly/fleet/origin-runs.js'
import type { MutatorLeases } from '../../src/freshness/leases/mutator-leases.js'
import type { RepositoriesRoot } from '../../src/git/state/repositories-root.js'
import type { Leases } from '../../src/freshness/leases/leases.js'
import type { PackCache } from '../../src/freshness/pack-cache.js'
import { inspectInstallation } from '../../src/git/process/installation.js'
import type { Limits } from '../../src/assembly/limits/limits.js'
import { FillReports } from '../../src/origin/faults/fill-reports.js'
import { PackReports } from '../../src/origin/packs/pack-reports.js'
import { RefListings } from '../../src/origin/ref-listings.js'
import type { StreamCache } from '../../src/streamcache/index.js'
import { createLog } from '../../src/telemetry/log.js'
import { Activity } from '../../src/status/activity.js'
import { Metrics } from '../../src/telemetry/metrics.js'
import { gitEnvironment } from './repositories.js'
import { tempDir } from './temp-dir.js'

/** Origins as `serve` would open them, without a server in front of them. */
export interface OpenedOrigins<L extends MutatorLeases = Leases> extends Origins {
  readonly leases: L
  readonly metrics: Metrics
  readonly cache: StreamCache
  readonly packCache: PackCache
  readonly packStreams: StreamCache
  readonly limits: Limits
  /** Resolves with the value of a metric, summed over all series with these labels. */
  counted(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
}

/** What a node of a fleet has besides what every process has. */
export interface FleetPlaceOf<L extends MutatorLeases> {
  readonly leases: L
  readonly fleet: FleetParts
}

/** Makes it, when the parts that it needs are there. */
export type OpenPlace<L extends MutatorLeases> = (parts: {
  readonly root: RepositoriesRoot | undefined
  readonly cache: StreamCache
  readonly packStreams: StreamCache
  readonly limits: Limits
  readonly metrics: Metrics
  /** To be called with a subject that has changed. */
  readonly changed: (subject: string) => void
}) => FleetPlaceOf<L>

export interface OpenOriginsOptions<L extends MutatorLeases> {
  readonly credentialFile?: UpstreamCredentialFile | undefined
  readonly openPlace?: OpenPlace<L> | undefined
  /** Variables of Git besides the usual ones. */
  readonly environment?: NodeJS.ProcessEnv
}

/** Opens the origins that these flags of `serve` mean. Closed with the test. */
export async function openOriginsOf<L extends MutatorLeases = Leases>(
  t: Test,
  flags: Readonly<Record<string, string | boolean>>,
  { credentialFile, openPlace, environment: more = {} }: OpenOriginsOptions<L> = {},
): Promise<OpenedOrigins<L>> {
  const settings = resolveSettings(readFlags({ minFreeBytes: '0', ...flags }))
  const environment = { ...gitEnvironment, ...more }
  const metrics = new Metrics()
  const log = createLog('silent')
  const host = await preflight(settings, environment)
  t.teardown(() => host.helpers.close())
  const limits = openLimits(settings, metrics, log)
  t.teardown(() => limits.close())
  const git = openGit(host, environment, limits, new Activity(), metrics, log)
  t.teardown(() => git.close())
  const directory = join(tempDir(t), 'cache')
  const cache = await openCache(settings, directory, metrics, log)
  t.teardown(() => cache.close())
  const { cache: packStreams, packCache } = await openPacks(settings, directory, metrics, log)
  t.teardown(() => packStreams.close())
  const changed: ((subject: string) => void)[] = [(subject) => packCache.forget(subject)]
  const tellChanged = (subject: string): void => changed.forEach((call) => call(subject))
  const place = openPlace?.({ root: host.root, cache, packStreams, limits, metrics, changed: tellChanged })
  const leases = place?.leases ?? (openLeases(undefined, metrics, log, tellChanged) as MutatorLeases as L)
  t.teardown(() => leases.close())
  const origins = await openOrigins(settings, environment, host, credentialFile, {
    installation: inspectInstallation(git),
    ...{ git, leases, cache, packCache, limits, metrics, log },
    freshCache: new FreshCache(cache),
    listings: new RefListings(settings.hotMaxBytes),
    fillReports: new FillReports({ backOff: limits.backOff, metrics, log }),
    packReports: new PackReports(metrics),
    fleet: place?.fleet,
  })
  t.teardown(() => origins.upstream?.close())
  if (origins.upstream) changed.push(origins.upstream.changed)
  const counted: OpenedOrigins<L>['counted'] = async (name, labels = {}) => {
    const metric = (await metrics.registry.getMetricsAsJSON()).find((each) => each.name === name)
    if (!metric) throw new Error(`there is no metric ${name}`)
    return (metric.values as { labels: Record<string, unknown>; value: number }[])
      .filter((each) => Object.entries(labels).every(([label, value]) => each.labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0)
  }
  return { ...origins, leases, metrics, cache, packCache, packStreams, limits, counted }
}
