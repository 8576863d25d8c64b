import type { FreshCache } from '../../../freshness/fresh-cache.js'
import type { ObservedState } from '../../../freshness/observed-state.js'
import type { Git } from '../../../git/process/git.js'
import { refListing } from '../../../git/process/upload-pack.js'
import { KnownRefs } from '../../../git/state/ref-changes/known-refs.js'
import { Revision, type Entry, type Produce } from '../../../streamcache/index.js'
import type { RefListing } from '../../../git/protocol/ref-listing.js'
import { ropeOf } from '../../listing-ropes.js'
import type { RefListings } from '../../ref-listings.js'
import type { Target } from '../../target.js'
import { LeasedRefs } from '../observation/leased-refs.js'
import type { KnownListing, KnownListings } from './known-listings.js'
import { headTarget, leasedCandidates } from './leased-candidates.js'
import { leasedRefsOf, refDetailsOf, type RefsRun } from './refs-run.js'
import type { SpliceReports, UnsplicedReason } from './splice-reports.js'

/** Rounds in which Git is asked before all refs are listed, since they change all the time. */
const roundsMax = 4
/** Most names that Git is asked for one by one: 10 ms of its time. */
const candidatesMax = 1000

export interface SplicedListingsOptions {
  readonly git: Git
  readonly cache: Pick<FreshCache, 'committed'>
  readonly listings: RefListings
  readonly known: KnownListings
  readonly reports: SpliceReports
  /** Observes the refs of the repository of a run again. */
  readonly observe: (target: Target) => Promise<ObservedState>
}

/**
 * Makes the listing of a new state from that of an earlier one: asks Git for the refs that may have changed, and takes all
 * others from the earlier listing.
 *
 * Why a splice is never wrong. The earlier listing B was committed in a settled state, with what was observed then. Each
 * change after that shows in this run's observation, which began after the requests that wait for it arrived, as a stat or a
 * content that differs (see `KnownRefs` for which refs that concerns). Git is asked after that observation for every such
 * ref, and answers with what holds then: a state that is as new as the observation, or newer. A ref that is not asked for has
 * not changed between B and the observation. Then the repository is observed once more. If nothing differs, all lines are those
 * of one moment. If something does, the lines could be of two: a ref that was renamed in between would be missing under both
 * names. So what has changed since B is found out and asked for anew, and after some rounds all refs are listed. Like any
 * listing, the result is kept only if the state is still the same when it has ended. What is not understood is not spliced.
 *
 * In lease mode, the leases that have ended since B was made have all named what they changed (see `leasedCandidates`), none was
 * open when B was made, and none is opened before the observation after Git's answer. What no lease has told of is seen after
 * the maximum age, in a whole listing: a splice is as old as B (`Inheritance`).
 */
export class SplicedListings {
  readonly #options: SplicedListingsOptions

  constructor(options: SplicedListingsOptions) {
    this.#options = options
  }

  /** Yields one Revision if the listing can be spliced, and else the bytes of a whole one. */
  async *produce(run: RefsRun, signal: AbortSignal): AsyncGenerator<Produce> {
    const { git, reports } = this.#options
    const made = yield* this.#splice(run, signal)
    reports.count('listing', made instanceof Revision ? 'spliced' : made)
    if (made instanceof Revision) {
      yield made
      return
    }
    if (run.inheritance) run.inheritance.ageMs = 0
    yield* refListing(git, run.repository, run.serving.objectFormat, signal)
  }

  /** Yields empty chunks as signs of life. Returns the splice, or why there is none. */
  async *#splice(run: RefsRun, signal: AbortSignal): AsyncGenerator<Buffer, Revision | UnsplicedReason> {
    const { git, known, observe } = this.#options
    const { key, repository, serving } = run
    const unsplicable = this.#whyNot(run)
    if (unsplicable) return unsplicable
    const base = run.inheritance?.base ?? known.get(key)
    const before = base && (await this.#listingOf(base.entry))
    if (!before) return 'unknown'
    let { seen } = run
    for (let round = 0; round < roundsMax; round++) {
      const candidates = await candidatesOf(run, seen, base, before, signal)
      if (typeof candidates === 'string') return candidates
      const answer: Buffer[] = []
      for await (const chunk of refListing(git, repository, serving.objectFormat, signal, candidates)) {
        if (chunk.length > 0) answer.push(chunk)
        else yield chunk
      }
      const seenAfter = await observe(run.target)
      if (isSame(seen, seenAfter)) {
        const listing = await splice(before, candidates, Buffer.concat(answer))
        if (!listing) return 'answer'
        if (run.inheritance && headTarget(listing) !== headTarget(before)) return 'head'
        return new Revision(ropeOf(listing), { entry: base.entry, rope: ropeOf(before) })
      }
      seen = seenAfter
    }
    return 'changing'
  }

  #whyNot({ repository, isRetry }: RefsRun): UnsplicedReason | undefined {
    if (!this.#options.reports.isOn(repository.gitDir)) return 'off'
    return isRetry ? 'retry' : undefined
  }

  /** Returns the listing of a committed entry, from memory if it is there. @returns undefined: it is gone */
  async #listingOf(entry: Entry): Promise<RefListing | undefined> {
    const { cache, listings } = this.#options
    let listing = listings.find(entry)
    if (!listing) {
      if (cache.committed(entry.key) !== entry) return undefined
      // Attached before the entry is loaded, so that its bytes stay.
      const follower = entry.follow()
      const isReadable = await entry.load()
      listing = isReadable ? listings.of(entry) : undefined
      follower.close()
    }
    await listing?.end().catch(() => {})
    return listing?.whole
  }
}

/** Has nothing changed from one observation to another, and has no lease been opened? */
const isSame = (one: ObservedState, other: ObservedState): boolean =>
  one.token === other.token && one.generation === other.generation && one.openings === other.openings

/** Returns the names to ask Git for, or why all refs must be listed. */
async function candidatesOf(
  { inheritance }: RefsRun,
  seen: ObservedState,
  base: KnownListing,
  before: RefListing,
  signal: AbortSignal,
): Promise<readonly string[] | UnsplicedReason> {
  if (base.refs instanceof LeasedRefs || leasedRefsOf(seen)) {
    const names = leasedRefsOf(seen)?.changedSince(base.generation)
    if (!names) return 'unnamed'
    if (!inheritance) return 'age'
    return base.entry.token === seen.token ? leasedCandidates(names, before, candidatesMax) : 'configuration'
  }
  // A webhook or a lease says that something has changed, whatever the disk shows.
  if (base.generation !== seen.generation) return 'invalidated'
  const details = refDetailsOf(seen)
  if (!details) return seen.maxAgeMs === Infinity ? 'unobserved' : 'age'
  const refs = await base.refs
  if (!(refs instanceof KnownRefs)) return refs.full
  const candidates = await refs.candidates(details, before, { candidates: candidatesMax }, signal)
  return 'full' in candidates ? candidates.full : candidates
}

/** Returns undefined if Git's answer is not one to these prefixes. */
const splice = (
  before: RefListing,
  prefixes: readonly string[],
  answer: Buffer,
): Promise<RefListing | undefined> => before.splice(prefixes, answer).catch(() => undefined)
