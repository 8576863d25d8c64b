import type { FreshCache } from '../../../freshness/fresh-cache.js'
import type { ObservedState } from '../../../freshness/observed-state.js'
import type { Git } from '../../../git/process/git.js'
import { advertisement, refListing } from '../../../git/process/upload-pack.js'
import type { ProtocolVersion } from '../../../git/protocol/version.js'
import type { KnownRefsOptions } from '../../../git/state/ref-changes/known-refs.js'
import type { Repository } from '../../../git/state/repository.js'
import type { Entry, Produce } from '../../../streamcache/index.js'
import type { DiskQuestion } from '../../peers/peer-question.js'
import type { RefListings, SharedListing } from '../../ref-listings.js'
import type { Target } from '../../target.js'
import { forgetRepository } from '../entry-keys.js'
import { LeasedRefs } from '../observation/leased-refs.js'
import { DerivedAdvertisements } from './derived-advertisements.js'
import { KnownListings } from './known-listings.js'
import { leasedRefsOf, refDetailsOf, type Inheritance, type RefsRun } from './refs-run.js'
import { SpliceAudits } from './splice-audits.js'
import { SpliceReports, type SpliceReportsOptions } from './splice-reports.js'
import { SplicedListings } from './spliced-listings.js'

export interface SplicesOptions extends SpliceReportsOptions, Pick<KnownRefsOptions, 'guard' | 'mayHoldOn'> {
  readonly git: Git
  readonly cache: FreshCache
  readonly listings: RefListings
  readonly observe: (target: Target) => Promise<ObservedState>
}

/** What a fill of refs makes; never a pack. */
export type RefsAskedFor = Exclude<DiskQuestion['asked'], { kind: 'pack' }>

/** Fills that cost what has changed, not what the repository holds: see `SplicedListings` for the argument. */
export class Splices {
  readonly #options: SplicesOptions
  readonly #known: KnownListings
  readonly #listings: SplicedListings
  readonly #advertisements: DerivedAdvertisements
  readonly #audits: SpliceAudits

  constructor(options: SplicesOptions) {
    this.#options = options
    const { git, cache, listings, observe } = options
    this.#known = new KnownListings(options)
    const reports = new SpliceReports(options)
    this.#listings = new SplicedListings({ git, cache, listings, reports, observe, known: this.#known })
    this.#advertisements = new DerivedAdvertisements({ cache, reports })
    this.#audits = new SpliceAudits(reports)
  }

  /** Yields the listing of all refs. */
  listing(run: RefsRun, signal: AbortSignal): AsyncIterable<Produce> {
    return this.#listings.produce(run, signal)
  }

  /**
   * Yields an advertisement.
   * @param list returns the repository's listing, as new as the run's observation
   */
  advertisement(
    version: ProtocolVersion,
    run: RefsRun,
    list: () => Promise<SharedListing | undefined>,
    signal: AbortSignal,
  ): AsyncIterable<Produce> {
    const { git } = this.#options
    const full = (): AsyncIterable<Buffer> => advertisement(git, run.repository, version, signal, run.isRetry)
    // In protocol v2 it has no refs.
    return version === 2 ? full() : this.#advertisements.produce(version, run, list, full)
  }

  /** To be called when the entry of a run was committed. */
  committed(run: RefsRun, asked: RefsAskedFor, entry: Entry): void {
    const isMade = entry.rope !== undefined
    const earlier = this.#known.get(run.key)?.entry
    if (earlier && earlier !== entry) this.#options.listings.forget(earlier)
    if (asked.kind === 'listing') this.saw(entry, run.repository, run.seen)
    else if (asked.version !== 2 && !isMade) this.#advertisements.learn(asked.version, run, entry)
    // In lease mode, what Git lists may rightly differ: it also shows what no lease has told of.
    if (isMade && !run.inheritance) this.#audit(run, asked, entry)
  }

  /** Returns what the listing of a state may be made of where leases alone decide, if anything. @param key of the listing */
  inheritanceOf(key: string, seen: ObservedState): Inheritance | undefined {
    const base = leasedRefsOf(seen) && this.#known.get(key)
    if (!base || !(base.refs instanceof LeasedRefs)) return undefined
    const ageMs = this.#options.cache.ageMsOf(base.entry)
    return ageMs < seen.maxAgeMs ? { base, ageMs } : undefined
  }

  /** Notes what was observed of the state that a committed listing stands for. Has no effect when repeated. */
  saw(entry: Entry, repository: Repository, state: ObservedState): void {
    const details = leasedRefsOf(state) ?? refDetailsOf(state)
    if (details && state.unsettledMs === 0 && entry.token === state.token)
      this.#known.note(entry, state.generation, repository, details)
  }

  #audit({ target, repository, serving }: RefsRun, asked: RefsAskedFor, entry: Entry): void {
    const { git, cache, observe } = this.#options
    const { gitDir } = repository
    this.#audits.made({
      ...{ kind: asked.kind, entry, gitDir },
      isCurrent: () => cache.committed(entry.key) === entry,
      observe: () => observe(target),
      list: (signal) =>
        asked.kind === 'listing'
          ? refListing(git, repository, serving.objectFormat, signal)
          : advertisement(git, repository, asked.version, signal),
      drop: () => {
        this.#known.forget(entry.key)
        forgetRepository(cache, gitDir)
      },
    })
  }

  /** Ends the audits, and closes the files that are held open. */
  close(): void {
    this.#audits.close()
    this.#known.close()
  }
}
