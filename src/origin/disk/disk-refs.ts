import type { FillRequest } from '../../freshness/fill-request.js'
import type { FreshCache, Reading } from '../../freshness/fresh-cache.js'
import type { ObservedState } from '../../freshness/observed-state.js'
import type { Observation, Observer } from './observation/observer.js'
import type { Git } from '../../git/process/git.js'
import type { ServingConfig } from '../../git/process/serving-config.js'
import { advertisement, refListing, uncachedAdvertisement } from '../../git/process/upload-pack.js'
import type { ProtocolVersion } from '../../git/protocol/version.js'
import { PeerRefused } from '../../fleet/peers/peer.js'
import { identityOf, type Repository } from '../../git/state/repository.js'
import type { BackOff } from '../../limits/back-off.js'
import type { ProcessClass, ProcessLimiter } from '../../limits/process/process-limiter.js'
import type { Entry, Producer } from '../../streamcache/index.js'
import { unlessBackingOff } from '../faults/backing-off.js'
import { keyOf, type EntryKind } from './entry-keys.js'
import type { FillReports } from '../faults/fill-reports.js'
import { type GitOverrides } from '../git-overrides.js'
import { checkGitOverrides } from './checked-overrides.js'
import type { Origin, RefAnswer, RefsAsked } from '../origin.js'
import type { RefListings } from '../ref-listings.js'
import type { ServedRepositories } from './served-repositories.js'
import type { FleetRuns } from '../peers/fleet-runs.js'
import type { DiskQuestion } from '../peers/peer-question.js'
import { maxAgeForPeer, requireSame, sharedIdentityOf } from '../peers/shared-identity.js'
import type { Target } from '../target.js'
import { nameOf, sharedRequest } from './shared-request.js'

export interface DiskRefsOptions {
  readonly git: Git
  readonly observer: Pick<Observer, 'disks'>
  readonly served: ServedRepositories
  readonly cache: FreshCache
  readonly listings: RefListings
  readonly fillReports: FillReports
  readonly limiter: ProcessLimiter
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
  /** The fills that other nodes may make instead; left out: there are no other nodes. */
  readonly fleet?: FleetRuns | undefined
}

/** What is read: an entry of a repository, and how it is made. */
interface RefsRead {
  readonly kind: EntryKind
  readonly variant: string
  readonly stateFor: (seen: Observation) => ObservedState
  readonly producer: Producer
  readonly asked: DiskQuestion['asked']
  /** Names what makes the bytes, besides the state of the repository; see `ServingConfig.digest`. */
  readonly serving: string
  /** For the request of another node: how old the answer may be, as in `DiskQuestion`. */
  readonly forPeer?: Pick<DiskQuestion, 'oldestMs'>
}

/** Bytes for another node, and the milliseconds that they are old now. */
export interface PeerReading {
  readonly reading: Reading
  readonly ageMs: number
}

/** Answers requests for the refs of repositories here, from the cache where possible. */
export class DiskRefs implements Pick<Origin, 'advertise' | 'advertiseUncached' | 'listRefs'> {
  readonly #options: DiskRefsOptions

  constructor(options: DiskRefsOptions) {
    this.#options = options
  }

  async advertise(
    target: Target,
    version: ProtocolVersion,
    followedByPost = false,
  ): Promise<Reading | undefined> {
    const { state, serving } = await this.#open(target)
    const { repository } = state
    if (followedByPost) this.#throwIfQueueFull(repository)
    if (!serving.shared) return undefined
    return this.#read(target, state, this.#advertisement(repository, version, serving))
  }

  #advertisement(repository: Repository, version: ProtocolVersion, { digest }: ServingConfig): RefsRead {
    // The clients that wait for a fill which is tried again have been admitted.
    let tries = 0
    return {
      kind: 'advertisement',
      variant: `v${version}`,
      stateFor: version === 2 ? capabilitiesOf : refsOf,
      producer: (signal) => advertisement(this.#options.git, repository, version, signal, tries++ > 0),
      asked: { kind: 'advertisement', version },
      serving: digest,
    }
  }

  #listing(repository: Repository, { objectFormat, digest }: ServingConfig): RefsRead {
    return {
      ...{ kind: 'listing', variant: objectFormat, stateFor: refsOf },
      producer: (signal) => refListing(this.#options.git, repository, objectFormat, signal),
      asked: { kind: 'listing', objectFormat },
      serving: digest,
    }
  }

  /**
   * Answers another node, which has checked access.
   * @throws PeerRefused if it is another repository, or is served or observed in another way here
   */
  async readForPeer(
    target: Target,
    asked: Exclude<DiskQuestion['asked'], { kind: 'pack' }>,
    question: Pick<DiskQuestion, 'repository' | 'serving' | 'oldestMs'>,
  ): Promise<PeerReading> {
    const { state, serving } = await this.#open(target)
    const { repository } = state
    requireSame({ repository: sharedIdentityOf(repository), serving: serving.digest }, question)
    const isListing = asked.kind === 'listing'
    if (isListing ? asked.objectFormat !== serving.objectFormat : !serving.shared)
      throw new PeerRefused('different', 'the repository is served in another way here')
    const read = isListing
      ? this.#listing(repository, serving)
      : this.#advertisement(repository, asked.version, serving)
    const reading = await this.#read(target, state, { ...read, forPeer: question })
    // Where the disk tells of every change, what answers is as new as the observation.
    const isExact = read.stateFor(state).maxAgeMs === Infinity
    return { reading, ageMs: isExact ? 0 : this.#options.cache.ageMsOf(reading.entry) }
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
    const found = this.#read(target, state, this.#listing(state.repository, serving))
    const reading = found instanceof Promise ? await found : found
    const listing = this.#options.listings.of(reading.entry)
    // The listing follows the entry by itself.
    reading.follower.close()
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

  #read({ path }: Target, state: Observation, read: RefsRead): Reading | Promise<Reading> {
    const { served, cache, backOff, fillReports, listings, fleet } = this.#options
    const { kind, variant, producer, forPeer } = read
    const key = keyOf(kind, variant, state.repository.gitDir)
    const stateFor = forPeer
      ? (seen: Observation) => stateForPeer(read.stateFor(seen), forPeer)
      : read.stateFor
    // From here on, only this repository may answer.
    const target = { path, identity: identityOf(state.repository) }
    const request = (): FillRequest => ({
      producer: (seen) => unlessBackingOff(backOff, key, nameOf(seen), producer),
      observe: async () => stateFor(await served.observe(target)),
      fillStarted: (entry, seen, ended) => {
        fillReports.started({ kind, entry, state: nameOf(seen), ended })
        // Bytes that were not yet on disk could not be freed when the listing was read; free them now.
        void ended.then(() => listings.holds(entry) && entry.cool())
      },
    })
    const shared = (): FillRequest =>
      fleet
        ? sharedRequest(fleet, request(), {
            ...{ key, path, repository: state.repository, isForPeer: forPeer !== undefined },
            ...read,
          })
        : request()
    return cache.read(key, stateFor(state), shared, kind === 'listing' ? this.#isInMemory : undefined)
  }

  /** Listings are answered from memory, without the entry's bytes. */
  readonly #isInMemory = (entry: Entry): boolean => this.#options.listings.holds(entry)
}

const refsOf = ({ refs }: Observation): ObservedState => refs
const capabilitiesOf = ({ capabilities }: Observation): ObservedState => capabilities

const stateForPeer = (state: ObservedState, { oldestMs }: Pick<DiskQuestion, 'oldestMs'>): ObservedState => ({
  ...state,
  maxAgeMs: maxAgeForPeer(state.maxAgeMs, oldestMs),
})
