import type { Settings } from '../../config/options/options.js'
import { changedSettings } from '../../config/changed-settings.js'
import { packageVersion } from '../../config/version.js'
import type { Git } from '../../git/process/git.js'
import { processClasses, type ProcessLimiter } from '../../limits/process/process-limiter.js'
import type { AdmissionGate } from '../../limits/admission/admission-gate.js'
import type { RefListings } from '../../origin/ref-listings.js'
import type { LeaseService } from '../../service/lease-service.js'
import type { Activity } from '../../status/activity.js'
import {
  shownMax,
  type CertificateStatus,
  type FleetStatus,
  type Kept,
  type Leases,
  type Status,
} from '../../status/model.js'
import type { StreamCache } from '../../streamcache/index.js'
import type { Metrics } from '../../telemetry/metrics.js'
import { upstreamStatuses, type UpstreamAnswers } from './upstreams.js'

export interface OwnStatusParts {
  /** As they were given. */
  readonly settings: Settings
  readonly activity: Activity
  readonly cache: StreamCache
  readonly packs: StreamCache
  readonly listings: RefListings
  readonly git: Git
  readonly limiter: ProcessLimiter
  readonly gate: AdmissionGate
  readonly leases: Pick<LeaseService, 'list'>
  readonly leasesOpen: () => number
  readonly gitVersion: Promise<string>
  readonly notReady: () => string | undefined | Promise<string | undefined>
  readonly metrics: Metrics
  readonly answers: UpstreamAnswers
  readonly certificates: () => readonly CertificateStatus[]
  /** undefined: this process is no node of a fleet. */
  readonly fleet: (() => FleetStatus) | undefined
}

/** Makes the status of this process, when it is asked for. */
export class OwnStatus {
  readonly #parts: OwnStatusParts
  readonly #settings: Readonly<Record<string, unknown>>
  #gitVersion: string | undefined

  constructor(parts: OwnStatusParts) {
    this.#parts = parts
    this.#settings = changedSettings(parts.settings)
    parts.gitVersion.then(
      (version) => (this.#gitVersion = version),
      () => {},
    )
  }

  async make(): Promise<Status> {
    const { activity, cache, packs, listings, git, limiter, gate, metrics, answers, fleet, certificates } =
      this.#parts
    const { notReady } = this.#parts
    const [reason, leases, upstreams] = await Promise.all([
      notReady(),
      this.#leases(),
      upstreamStatuses(metrics, answers),
    ])
    return {
      at: new Date().toISOString(),
      uptimeSeconds: Math.round(process.uptime()),
      ready: { isReady: reason === undefined, ...(reason !== undefined && { reason }) },
      versions: {
        refstream: packageVersion(),
        node: process.versions.node,
        ...(this.#gitVersion !== undefined && { git: this.#gitVersion }),
      },
      processes: { expected: 1, answered: 1 },
      requests: {
        underWay: gate.admitted,
        waiting: gate.waiting,
        followers: cache.followers + packs.followers,
        sentBytes: activity.sentBytes,
        byOutcome: activity.outcomes,
      },
      fills: { count: activity.fills.size, oldest: activity.fills.list(shownMax.fills) },
      permits: {
        limit: limiter.limit,
        processes: git.running,
        classes: processClasses.map((each) => ({
          class: each,
          running: limiter.running(each),
          waiting: limiter.waiting(each),
        })),
      },
      leases,
      failures: activity.failures.list(),
      top: {
        spanSeconds: Math.round(activity.byRequests.spanMs / 1000),
        byRequests: activity.byRequests.top(shownMax.top),
        byBytes: activity.byBytes.top(shownMax.top),
        byFills: activity.byFills.top(shownMax.top),
      },
      entries: keptIn(cache),
      packs: keptIn(packs),
      listingBytes: listings.bytes,
      upstreams,
      ...(fleet && { fleet: fleet() }),
      certificates: certificates(),
      settings: this.#settings,
    }
  }

  async #leases(): Promise<Leases> {
    const { leases, leasesOpen } = this.#parts
    try {
      const open = await leases.list()
      const next = open
        .toSorted((a, b) => Number(a.expiresAt) - Number(b.expiresAt))
        .slice(0, shownMax.leases)
        .map(({ repository, reason, openedAt, expiresAt }) => ({
          ...{ repository, ...(reason !== undefined && { reason }) },
          openedAt: openedAt.toISOString(),
          expiresAt: expiresAt.toISOString(),
        }))
      return { open: open.length, next }
    } catch {
      // The fleet does not answer.
      return { open: leasesOpen() }
    }
  }
}

const keptIn = ({ storeEntries, storeBytes, hotBytes, isShort }: StreamCache): Kept => ({
  ...{ count: storeEntries, bytes: storeBytes, memoryBytes: hotBytes, isShort },
})
