import { LRUCache } from 'lru-cache'
import type { FullReason } from '../../../git/state/ref-changes/full-reason.js'
import type { Log } from '../../../telemetry/log.js'
import type { Metrics } from '../../../telemetry/metrics.js'
import { entriesAtMost } from '../../../limits/entries-at-most.js'

/** Why a fill after a change was not a splice, besides what the change itself was. */
export type UnsplicedReason =
  | FullReason['full']
  /** `--splice off`, or switched off for the repository after a mismatch. */
  | 'off'
  /** Entries of the state have a maximum age, and the earlier listing has reached it, or only a whole listing can keep it. */
  | 'age'
  /** A helper process has observed the repository. */
  | 'unobserved'
  /** Nothing is known of an earlier state: the first fill, or the first change after a start. */
  | 'unknown'
  /** A lease or an invalidation says that there was a change, whatever the disk shows. */
  | 'invalidated'
  /** In lease mode: a lease is open, or something has changed that no lease has named. */
  | 'unnamed'
  /** In lease mode: a ref was changed that the earlier listing does not show. */
  | 'new'
  /** In lease mode: a symbolic ref was changed. */
  | 'symref'
  /** Refs changed each time while Git was asked. */
  | 'changing'
  /** Git's answer, or HEAD in it, was not as expected. */
  | 'answer'
  /** A run of the same fill has failed. */
  | 'retry'

/** How a splice compares with what Git lists. `inconclusive`: the state changed meanwhile, or Git could not be run. */
export type AuditVerdict = 'equal' | 'different' | 'inconclusive'

/** Where a splice differs from what Git lists. */
export interface Difference {
  /** In bytes. */
  readonly offset: number
  readonly spliced: string
  readonly listed: string
}

/** Most repositories for which splicing is off: more than that, and the first ones are tried again. */
const offMax = 10_000

export interface SpliceReportsOptions {
  /** `--splice`. */
  readonly enabled: boolean
  readonly metrics: Pick<Metrics, 'splices' | 'spliceAudits' | 'spliceOff'>
  readonly log: Pick<Log, 'error'>
}

/** Counts and logs splices and their audits, and switches splicing off for a repository after a mismatch. */
export class SpliceReports {
  readonly #options: SpliceReportsOptions
  readonly #off = new LRUCache<string, true>(entriesAtMost(offMax))

  constructor(options: SpliceReportsOptions) {
    this.#options = options
  }

  /** May entries of a repository be spliced? */
  isOn(gitDir: string): boolean {
    return this.#options.enabled && !this.#off.has(gitDir)
  }

  count(kind: 'advertisement' | 'listing', result: 'spliced' | UnsplicedReason): void {
    this.#options.metrics.splices.inc({ kind, result })
  }

  audited(kind: 'advertisement' | 'listing', verdict: AuditVerdict): void {
    this.#options.metrics.spliceAudits.inc({ kind, verdict })
  }

  /** Switches splicing off for a repository until the next start. */
  differs(gitDir: string, key: string, difference: Difference): void {
    this.#off.set(gitDir, true)
    this.#options.metrics.spliceOff.set(this.#off.size)
    this.#options.log.error(
      { repository: gitDir, key, ...difference },
      'a spliced answer differed from what Git lists: it was dropped, and this repository is listed as a whole until the next ' +
        'start; please report it',
    )
  }
}
