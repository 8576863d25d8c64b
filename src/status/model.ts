import type { HeavyHitter } from './heavy-hitters.js'
import type { RecentFailure } from './recent-failures.js'
import type { RunningFill } from './running-fills.js'

/** All that `GET /v1/status` shows. Counts are since the start of each process; times are milliseconds unless said. */
export interface Status {
  /** When it was made, in ISO form. */
  readonly at: string
  readonly uptimeSeconds: number
  readonly ready: { readonly isReady: boolean; readonly reason?: string | undefined }
  readonly versions: Versions
  /** Worker processes that have answered; one process alone is one. */
  readonly processes: { readonly expected: number; readonly answered: number }
  readonly requests: RequestCounts
  /** The oldest fills under way, and how many there are. */
  readonly fills: { readonly count: number; readonly oldest: readonly ShownFill[] }
  readonly permits: Permits
  readonly leases: Leases
  /** The last first. */
  readonly failures: readonly RecentFailure[]
  readonly top: TopKeys
  readonly entries: Kept
  readonly packs: Kept
  readonly listingBytes: number
  readonly upstreams: readonly UpstreamStatus[]
  readonly fleet?: FleetStatus | undefined
  /** Those in use, the first to expire first. */
  readonly certificates: readonly CertificateStatus[]
  /** By name, as in docs/settings.md: those that differ from their defaults. */
  readonly settings: Readonly<Record<string, unknown>>
}

export interface Versions {
  readonly refstream: string
  readonly node: string
  /** undefined: not known yet. */
  readonly git?: string | undefined
}

export interface RequestCounts {
  readonly underWay: number
  readonly waiting: number
  readonly followers: number
  readonly sentBytes: number
  readonly byOutcome: Readonly<Record<string, number>>
}

export interface ShownFill extends RunningFill {
  /** The worker that runs it; undefined: there is one process. */
  readonly worker?: number | undefined
}

export interface Permits {
  /** Most Git processes at once now. */
  readonly limit: number
  readonly processes: number
  readonly classes: readonly PermitClass[]
}

export interface PermitClass {
  readonly class: string
  readonly running: number
  readonly waiting: number
}

export interface Leases {
  readonly open: number
  /** Those that expire first; without their ids, which are secret. undefined: the fleet does not answer. */
  readonly next?: readonly ShownLease[] | undefined
}

export interface ShownLease {
  readonly repository: string
  readonly reason?: string | undefined
  readonly openedAt: string
  readonly expiresAt: string
}

export interface TopKeys {
  /** Seconds that the sums are of. */
  readonly spanSeconds: number
  readonly byRequests: readonly HeavyHitter[]
  readonly byBytes: readonly HeavyHitter[]
  readonly byFills: readonly HeavyHitter[]
}

export interface Kept {
  readonly count: number
  readonly bytes: number
  readonly memoryBytes: number
  /** Has the filesystem too little free space, so that nothing more is stored? */
  readonly isShort: boolean
}

export interface UpstreamStatus {
  /** Host and port. */
  readonly name: string
  readonly breaker: 'closed' | 'open'
  readonly connections: number
  readonly clientRequests: number
  readonly upstreamRequests: number
  /** Requests to the upstream for each request of a client; undefined: there was none yet. */
  readonly quotient?: number | undefined
  /** Seconds since its last answer; undefined: there was none yet. */
  readonly answeredSecondsAgo?: number | undefined
}

export interface CertificateStatus {
  /** The setting that names its file. */
  readonly setting: string
  readonly expiresAt: string
}

export interface FleetStatus {
  readonly node: string
  readonly isEngineUp: boolean
  readonly live: readonly string[]
  readonly configured: readonly string[]
}

/** Most of each list that is shown. */
export const shownMax = { fills: 200, leases: 100, failures: 50, top: 20 } as const
