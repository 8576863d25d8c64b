import type { FillRequest } from '../../freshness/fill-request.js'
import type { FreshCache, Reading } from '../../freshness/fresh-cache.js'
import { tracedFill } from '../../freshness/traced-requests.js'
import type { ObservedState } from '../../freshness/observed-state.js'
import type { Observation, Observer } from './observation/observer.js'
import type { Git } from '../../git/process/git.js'
import type { ServingConfig } from '../../git/process/serving-config.js'
import { uncachedAdvertisement } from '../../git/process/upload-pack.js'
import type { ProtocolVersion } from '../../git/protocol/version.js'
import { PeerRefused } from '../../fleet/peers/peer.js'
import { identityOf, type Repository } from '../../git/state/repository.js'
import type { BackOff } from '../../limits/back-off.js'
import type { ProcessClass, ProcessLimiter } from '../../limits/process/process-limiter.js'
import type { Entry, Produce, RevisingProducer } from '../../streamcache/index.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import { unlessBackingOff } from '../faults/backing-off.js'
import { keyOf, type EntryKind } from './entry-keys.js'
import type { FillReports } from '../faults/fill-reports.js'
import { type GitOverrides } from '../git-overrides.js'
import { checkGitOverrides } from './checked-overrides.js'
import type { Origin, RefAnswer, RefsAsked } from '../origin.js'
import type { RefListings, SharedListing } from '../ref-listings.js'
import type { ServedRepositories } from './served-repositories.js'
import type { FleetRuns } from '../peers/fleet-runs.js'
import { ageForPeer, requireSame } from '../peers/shared-identity.js'
import type { Target } from '../target.js'
import { nameOf, sharedRequest } from './shared-request.js'
import type { Inheritance, RefsRun } from './splices/refs-run.js'
import type { RefsAskedFor, Splices } from './splices/splices.js'

export interface DiskRefsOptions {
  readonly git: Git
  readonly observer: Pick<Observer, 'disks'>
  readonly served: ServedRepositories
  readonly cache: FreshCache
  readonly listings: RefListings
  readonly fillReports: FillReports
  /** Makes what is filled. */
  readonly splices: Splices
  readonly limiter: ProcessLimiter
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
  /** The fills that other nodes may make instead; left out: there are no other nodes. */
  readonly fleet?: FleetRuns | undefined
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
}

/** A kind of entry of a repository, and how it is made. The same for all requests: a hit must not allocate what only fills need. */
interface RefsRead {
  readonly kind: EntryKind
  readonly variant: string
  readonly stateFor: (seen: Observation) => ObservedState
  readonly make: (origin: DiskRefs, run: RefsRun, signal: AbortSignal) => AsyncIterable<Produce>
  readonly asked: RefsAskedFor
}

/** Answers requests for the refs of repositories here, from the cache where possible. */
export class DiskRefs implements Pick<Origin, 'advertise' | 'advertiseUncached' | 'listRefs'> {
  readonly #options: DiskRefsOptions

  constructor(options: DiskRefsOptions) {
    this.#options = options
  }

  advertise(target: Target, version: ProtocolVersion, followedByPost = false): Promise<Reading | undefined> {
    // As #open does, without the promises and the object that each hit would pay for.
    const { served } = this.#options
    return served.look(target).then((observed) => {
      const state = served.exported(target, observed)
      const read = (serving: ServingConfig): Reading | Promise<Reading> | undefined => {
        if (followedByPost) this.#throwIfQueueFull(state.repository)
        return serving.shared ? this.#read(target, state, serving, advertisements[version]) : undefined
      }
      const serving = served.servingConfig(state)
      return serving instanceof Promise ? serving.then(read) : read(serving)
    })
  }

  /**
   * Answers another node, which has checked access.
   * @param maxAgeMs as in its question
   * @throws PeerRefused if it is another repository, or is served or observed in another way here
   */
  async readForPeer(
    target: Target,
    asked: RefsAskedFor,
    identity: string,
    maxAgeMs: number | undefined,
  ): Promise<Reading> {
    const { state, serving } = await this.#open(target)
    requireSame(state.repository, serving, identity)
    const isListing = asked.kind === 'listing'
    if (isListing ? asked.objectFormat !== serving.objectFormat : !serving.shared)
      throw new PeerRefused('different', 'the repository is served in another way here')
    const read = isListing ? listingOf(asked.objectFormat) : advertisements[asked.version]
    return this.#read(target, state, serving, read, { askedMs: maxAgeMs })
  }

  /** As in `Origin`: from a process of its own, which the signal ends. */
  async advertiseUncached(
    target: Target,
    version: ProtocolVersion,
    overrides: GitOverrides,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<Buffer>> {
    const { repository } = (await this.#open(target)).state
    const { git, observer } = this.#options
    const checked = await checkGitOverrides(repository, overrides, (...asked) =>
      observer.disks.objects(...asked),
    )
    return uncachedAdvertisement(git, repository, version, checked, signal)
  }

  /** As in `Origin`. The listing has all refs: there is one for each state of the repository. */
  async listRefs(
    target: Target,
    asked: Pick<RefsAsked, 'objectFormat'> = {},
  ): Promise<RefAnswer | undefined> {
    const { state, serving } = await this.#open(target)
    const { objectFormat } = serving
    if (asked.objectFormat !== undefined && asked.objectFormat !== objectFormat) return undefined
    const found = this.#read(target, state, serving, listingOf(objectFormat))
    const reading = found instanceof Promise ? await found : found
    const { entry } = reading
    const listing = this.#options.listings.of(entry)
    // The listing follows the entry by itself.
    reading.follower.close()
    if (reading.reuse === 'hit') this.#options.splices.saw(entry, state.repository, state.refs)
    return { listing, reuse: reading.reuse }
  }

  /** Observes a repository that may be read. @throws RepositoryNotFound, ServiceDisabled */
  async #open(target: Target): Promise<{ state: Observation; serving: ServingConfig }> {
    const { served } = this.#options
    const state = await served.observe(target)
    const serving = served.servingConfig(state)
    return { state, serving: serving instanceof Promise ? await serving : serving }
  }

  /**
   * A client whose fetch could not even be queued is not admitted: its POST would be shed, and Git fails on that (R5).
   * Whether that will be a pack, or pass through because it cannot be shared, is not known yet.
   */
  #throwIfQueueFull(repository: Repository): void {
    this.#throwIfClassFull('pack', repository)
    this.#throwIfClassFull('pass', repository)
  }

  #throwIfClassFull(processClass: ProcessClass, { commonDir }: Repository): void {
    const { limiter } = this.#options
    if (limiter.waiting(processClass) === 0) return
    const overloaded = limiter.rejection({ class: processClass, group: commonDir, admitted: true })
    if (overloaded) throw overloaded
  }

  /** @param peer of the request of another node: `DiskQuestion.maxAgeMs` */
  #read(
    { path }: Target,
    state: Observation,
    serving: ServingConfig,
    read: RefsRead,
    peer?: { readonly askedMs: number | undefined },
  ): Reading | Promise<Reading> {
    const { served, cache, backOff, fillReports, listings, splices, fleet, tracing } = this.#options
    const { kind, variant, asked } = read
    const { repository } = state
    const key = keyOf(kind, variant, repository.gitDir)
    const stateFor = peer ? (seen: Observation) => forPeer(read.stateFor(seen), peer.askedMs) : read.stateFor
    const isForPeer = peer !== undefined
    const request = (): FillRequest => {
      // From here on, only this repository may answer.
      const target = { path, identity: identityOf(repository) }
      const common = { key, target, repository, serving }
      let tries = 0
      let inheritance: Inheritance | undefined
      const producer = (seen: ObservedState): RevisingProducer => {
        const inherited = fleet || asked.kind !== 'listing' ? undefined : splices.inheritanceOf(key, seen)
        inheritance = inherited
        return (signal) =>
          read.make(this, { ...common, seen, inheritance: inherited, isRetry: tries++ > 0 }, signal)
      }
      const own: FillRequest = {
        ageMs: () => inheritance?.ageMs ?? 0,
        producer: (seen) => unlessBackingOff(backOff, key, nameOf(seen), producer(seen)),
        observe: async () => stateFor(await served.observe(target)),
        fillStarted: (entry, seen, ended) => {
          const producer = () => (fleet?.isBorrowed(entry) ? 'peer' : 'git')
          fillReports.started({ kind, producer, entry, state: nameOf(seen), ended })
          void ended.then((result) => {
            if (result === 'committed')
              splices.committed({ ...common, seen, inheritance, isRetry: false }, asked, entry)
            // Bytes that were not yet on disk could not be freed when the listing was read; free them now.
            if (listings.holds(entry)) entry.cool()
          })
        },
      }
      const made = fleet
        ? sharedRequest(fleet, own, { key, path, repository, serving, ...read, producer, isForPeer })
        : own
      return tracing ? tracedFill(made, kind, tracing) : made
    }
    const isInMemory = kind === 'listing' ? this.#isInMemory : undefined
    const now = stateFor(state)
    return tracing
      ? tracing.waiting(() => cache.read(key, now, request, isInMemory))
      : cache.read(key, now, request, isInMemory)
  }

  /** Makes an advertisement, if possible from the listing of the same state. */
  makeAdvertisement(version: ProtocolVersion, run: RefsRun, signal: AbortSignal): AsyncIterable<Produce> {
    const { objectFormat } = run.serving
    const list = async (): Promise<SharedListing | undefined> =>
      (await this.listRefs(run.target, { objectFormat }))?.listing
    return this.#options.splices.advertisement(version, run, list, signal)
  }

  makeListing(run: RefsRun, signal: AbortSignal): AsyncIterable<Produce> {
    return this.#options.splices.listing(run, signal)
  }

  /** Listings are answered from memory, without the entry's bytes. */
  readonly #isInMemory = (entry: Entry): boolean => this.#options.listings.holds(entry)
}

const refsOf = ({ refs }: Observation): ObservedState => refs
const capabilitiesOf = ({ capabilities }: Observation): ObservedState => capabilities

const forPeer = (state: ObservedState, askedMs: number | undefined): ObservedState => ({
  ...state,
  maxAgeMs: ageForPeer(state, askedMs),
})

const advertisementOf = (version: ProtocolVersion): RefsRead => ({
  kind: 'advertisement',
  variant: `v${version}`,
  stateFor: version === 2 ? capabilitiesOf : refsOf,
  make: (origin, run, signal) => origin.makeAdvertisement(version, run, signal),
  asked: { kind: 'advertisement', version },
})
const advertisements = { 0: advertisementOf(0), 1: advertisementOf(1), 2: advertisementOf(2) }

const newListing = (objectFormat: string): RefsRead => ({
  ...{ kind: 'listing', variant: objectFormat, stateFor: refsOf },
  make: (origin, run, signal) => origin.makeListing(run, signal),
  asked: { kind: 'listing', objectFormat },
})
const listings = new Map(['sha1', 'sha256'].map((objectFormat) => [objectFormat, newListing(objectFormat)]))
const listingOf = (objectFormat: string): RefsRead => listings.get(objectFormat) ?? newListing(objectFormat)
