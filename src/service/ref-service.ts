import { LRUCache } from 'lru-cache'
import type { FreshCache, FillRequest, Reading, Reuse, ObservedState } from '../freshness/fresh-cache.js'
import type { Observation, Observer } from '../freshness/observer.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import type { Git } from '../git/process/git.js'
import type { GitProcess } from '../git/process/git-process.js'
import { httpBackend, type BackendRequest, type BackendAdmission } from '../git/process/http-backend.js'
import type { ProtocolVersion } from '../git/protocol/version.js'
import { identityOf, type Repository } from '../git/state/repository.js'
import { RepositoryExchanged } from '../git/state/reopen-repository.js'
import { readServingConfig, type ServingConfig } from '../git/process/serving-config.js'
import { advertisement, uncachedAdvertisement, refListing } from '../git/process/upload-pack.js'
import type { BackOff } from '../limits/back-off.js'
import { Overloaded } from '../limits/overloaded.js'
import type { ProcessLimiter } from '../limits/process/process-limiter.js'
import { FillError, type Entry, type FillFault, type FillResult, type Source } from '../streamcache/index.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import { checkGitOverrides, type GitOverrides } from './git-overrides.js'
import { keyOf, keysOf, type EntryKind } from './entry-keys.js'
import { BackingOff, RepositoryNotFound, ServiceDisabled } from './errors.js'
import type { LeaseService } from './lease-service.js'
import { RefListings, type SharedListing } from './ref-listings.js'
import type { UnservedNotices } from './unserved-notices.js'

export interface RefServiceOptions {
  readonly exportAll: boolean
  readonly git: Git
  readonly observer: Observer
  readonly leases: LeaseService
  readonly cache: FreshCache
  /** Most bytes of memory for ref listings. */
  readonly listingsMaxBytes: number
  readonly limiter: ProcessLimiter
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
  readonly notices: UnservedNotices
  readonly metrics: Metrics
  readonly log: Log
}

export type PassThroughRequest = Omit<BackendRequest, 'exportAll'>

/** A listing to cut the answer to an ls-refs command from. */
export interface RefAnswer {
  readonly listing: SharedListing
  readonly reuse: Reuse
}

/** Which repository a request is about. */
export interface Target {
  /** Decoded and relative to the root; see `decodeRepositoryPath`. */
  readonly path: string
  /** Of the repository that access was checked for; left out: access is the same whichever it is. See `locate`. */
  readonly identity?: string | undefined
}

/** A repository as access rules name it. */
export interface Located {
  /** Paths below the root: its own, whatever name it was asked for by, and those that its links lead to. */
  readonly names: readonly string[]
  readonly identity: string
}

/**
 * What all doors offer. Each method throws RepositoryExchanged, or what it returns does, if the target's path comes to
 * mean another repository than access was checked for, or than was looked at; see `untilUnexchanged`.
 */
export class RefService {
  readonly #options: RefServiceOptions
  readonly #listings: RefListings
  /** By repository and configuration state. */
  readonly #servingConfigs = new LRUCache<string, ServingConfig | Promise<ServingConfig>>({ max: 10_000 })
  /** The same by look, for states that cannot be named. */
  readonly #servingConfigsNow = new WeakMap<Observation, Promise<ServingConfig>>()

  constructor(options: RefServiceOptions) {
    this.#options = options
    this.#listings = new RefListings(options.listingsMaxBytes)
  }

  /**
   * The advertisement of a repository (protocol v2: the capability advertisement), to be read from a follower, which
   * the caller closes. undefined: its bytes differ from client to client, so the request must pass through.
   * @param followedByPost will its client go on with a POST, which must not be shed then?
   * @throws RepositoryNotFound, ServiceDisabled, Overloaded, FillError
   */
  async advertise(
    target: Target,
    version: ProtocolVersion,
    followedByPost = false,
  ): Promise<Reading | undefined> {
    const { state, serving } = await this.#open(target)
    const { repository } = state
    if (followedByPost) this.#refuseIfFull(repository)
    if (!serving.shared) return undefined
    const sight = version === 2 ? capabilitiesOf : refsOf
    // Whoever follows a fill that is tried again was let in.
    let tries = 0
    return this.#read(target, 'advertisement', `v${version}`, sight, state, (signal) =>
      advertisement(this.#options.git, repository, version, signal, tries++ > 0),
    )
  }

  /**
   * An advertisement for one client alone: under terms of its own, or where bytes differ from client to client. Streamed
   * by a process of its own, when its turn has come, and shared with nobody. The signal ends it.
   * @throws RepositoryNotFound, ServiceDisabled, BadTerms; while it is read: GitError, Overloaded, the signal's reason
   */
  async advertiseUncached(
    target: Target,
    version: ProtocolVersion,
    terms: GitOverrides,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<Buffer>> {
    const { repository } = (await this.#open(target)).state
    const { git, observer } = this.#options
    const own = await checkGitOverrides(repository, terms, (...asked) => observer.disks.objects(...asked))
    return uncachedAdvertisement(git, repository, version, own, signal)
  }

  /**
   * The answer to an ls-refs command, cut from the one listing that there is for the repository's state.
   * @param asked the object format that the client takes the repository to have; left out: whichever it has
   * @returns undefined: Git would refuse the request, so it must pass through
   * @throws RepositoryNotFound, ServiceDisabled, FillError
   */
  async listRefs(
    target: Target,
    asked: { readonly objectFormat?: string } = {},
  ): Promise<RefAnswer | undefined> {
    const { state, serving } = await this.#open(target)
    const { objectFormat } = serving
    if (asked.objectFormat !== undefined && asked.objectFormat !== objectFormat) return undefined
    const { repository } = state
    const found = this.#read(target, 'listing', objectFormat, refsOf, state, (signal) =>
      refListing(this.#options.git, repository, objectFormat, signal),
    )
    const reading = found instanceof Promise ? await found : found
    const listing = this.#listings.of(reading.entry)
    // The listing follows the entry by itself.
    reading.follower.close()
    return { listing, reuse: reading.reuse }
  }

  /** Bytes of memory that ref listings use. */
  get listingBytes(): number {
    return this.#listings.bytes
  }

  /**
   * Starts `git http-backend` on a request that refstream does not answer itself, when its turn has come.
   * @throws RepositoryNotFound, Overloaded, or the queueing signal's reason
   */
  async passThrough(
    target: Target,
    request: PassThroughRequest,
    turn: BackendAdmission,
  ): Promise<GitProcess> {
    return this.#runBackend((await this.#observe(target)).repository, request, turn)
  }

  /** The same for a request that may change the repository: a push. Holds a lease while the process runs. */
  async mutate(target: Target, request: PassThroughRequest, turn: BackendAdmission): Promise<GitProcess> {
    const { repository } = await this.#observe(target)
    let end: (() => void) | undefined
    const starting = (): void => {
      end = this.#options.leases.hold(repository, 'push')
    }
    try {
      const process = await this.#runBackend(repository, request, { ...turn, starting })
      void process.ended.then(() => end?.())
      return process
    } catch (error) {
      end?.()
      throw error
    }
  }

  #runBackend(
    repository: Repository,
    request: PassThroughRequest,
    turn: BackendAdmission,
  ): Promise<GitProcess> {
    const { git, exportAll } = this.#options
    return httpBackend(git, repository, { ...request, exportAll }, turn)
  }

  /** Lets nobody in whose fetch could not even be queued: its POST would have to be shed, and Git dies of that (R5). */
  #refuseIfFull({ commonDir }: Repository): void {
    const { limiter } = this.#options
    if (limiter.waiting('pass') === 0) return
    const refusal = limiter.refusal({ class: 'pass', group: commonDir, admitted: true })
    if (refusal) throw refusal
  }

  /** The repository that a path means now; undefined: there is none. @throws FilesystemUnanswered */
  locate(path: string): Located | undefined | Promise<Located | undefined> {
    const repository = this.#options.observer.find(path)
    return repository instanceof Promise ? repository.then(located) : located(repository)
  }

  /**
   * Drops what is kept of a repository, so that it does not come back after a restart. Linked worktrees have keys of
   * their own; what is kept of them stays, and answers nobody: their generation is the repository's.
   */
  forget(commonDir: string): void {
    for (const key of keysOf(commonDir)) this.#options.cache.forget(key)
  }

  /** What a client may read. @throws RepositoryNotFound, ServiceDisabled */
  async #open(target: Target): Promise<{ state: Observation; serving: ServingConfig }> {
    const state = await this.#exported(target)
    const known = this.#readServing(state)
    const serving = known instanceof Promise ? await known : known
    if (!serving.uploadPack) throw new ServiceDisabled('http.uploadpack is off')
    return { state, serving }
  }

  #read(
    { path }: Target,
    kind: EntryKind,
    variant: string,
    sight: (seen: Observation) => ObservedState,
    state: Observation,
    source: Source,
  ): Reading | Promise<Reading> {
    const key = keyOf(kind, variant, state.repository.gitDir)
    // From here on it is this very repository.
    const target = { path, identity: identityOf(state.repository) }
    const request = (): FillRequest => ({
      source: (seen) => this.#unlessBackingOff(key, stateOf(seen), source),
      observe: async () => sight(await this.#exported(target)),
      fillStarted: (entry, seen, ended) => this.#countFill(kind, entry, stateOf(seen), ended),
    })
    return this.#options.cache.read(
      key,
      sight(state),
      request,
      kind === 'listing' ? this.#isInMemory : undefined,
    )
  }

  /** Listings are read in a form of their own. */
  readonly #isInMemory = (entry: Entry): boolean => this.#listings.holds(entry)

  #throwIfBackingOff(key: string, state?: string): void {
    const blocked = this.#options.backOff.blocked(key, state)
    if (blocked) throw new BackingOff(blocked.retryAfterMs, blocked.error)
  }

  /**
   * A source that fails at once while its key's last failure is too fresh, and was in the same state: no process is
   * started (R7). A repository that was repaired is in another state.
   */
  #unlessBackingOff(key: string, state: string, source: Source): Source {
    return (signal) => {
      this.#throwIfBackingOff(key, state)
      return source(signal)
    }
  }

  async #exported(target: Target): Promise<Observation> {
    const state = await this.#observe(target)
    const { notices, exportAll } = this.#options
    const name = state.repository.gitName || '.'
    if (!(state.exported || exportAll)) {
      notices.tell(name, 'not-exported')
      throw new RepositoryNotFound(target.path)
    }
    notices.served(name)
    return state
  }

  /** @throws RepositoryNotFound, RepositoryExchanged */
  async #observe({ path, identity }: Target): Promise<Observation> {
    const state = await this.#options.observer.observe(path)
    if (!state) throw new RepositoryNotFound(path)
    if (identity !== undefined && identity !== identityOf(state.repository)) throw new RepositoryExchanged()
    return state
  }

  /** One answer of Git's for all who ask about the same state, or with the same look. */
  #readServing(state: Observation): ServingConfig | Promise<ServingConfig> {
    const { token, unsettledMs } = state.capabilities
    const known = unsettledMs === 0 ? this.#servingConfigs.get(token) : this.#servingConfigsNow.get(state)
    if (known) return known
    const { git, backOff } = this.#options
    const key = `configuration ${token}`
    this.#throwIfBackingOff(key)
    const serving = readServingConfig(git, state.repository, state.config)
    serving.then(
      () => backOff.succeeded(key),
      (error: unknown) => saysNothing(error) || backOff.failed(key, error),
    )
    if (unsettledMs === 0) {
      this.#servingConfigs.set(token, serving)
      serving.then(
        (known) => this.#servingConfigs.set(token, known),
        () => this.#servingConfigs.delete(token),
      )
    } else this.#servingConfigsNow.set(state, serving)
    return serving
  }

  #countFill(kind: string, entry: Entry, state: string, ended: Promise<FillResult>): void {
    const { fills, fillSeconds, fillBytes, loserWrites, loserBytes } = this.#options.metrics
    const stop = fillSeconds.startTimer({ kind })
    void ended.then((result) => {
      stop()
      const { length } = entry
      fills.inc({ kind, result })
      fillBytes.inc({ kind }, length)
      // Again: what was not on disk yet when the listing had been read had to stay in memory.
      if (this.#listings.holds(entry)) entry.cool()
      this.#learn(kind, result, entry, state)
      if (result !== 'loser') return
      loserWrites.inc()
      loserBytes.inc(length)
    })
  }

  /** A fill that was shed or forbidden, or that this process ended because it is about to end, says nothing of its key. */
  #learn(kind: string, result: FillResult, { key, error }: Entry, state: string): void {
    const { backOff, log } = this.#options
    if (result !== 'failed') {
      backOff.succeeded(key)
      return
    }
    const fault = faultOf(error)
    this.#options.metrics.fillFailures.inc({ kind, fault })
    if (['shed', 'backing-off', 'exchanged', 'unanswered'].includes(fault)) return
    log.warn({ err: error, key }, 'a fill failed')
    if (fault !== 'closed') backOff.failed(key, error, state)
  }
}

const located = (repository: Repository | undefined): Located | undefined =>
  repository && {
    names: [repository.commonName, ...repository.linkedNames].map(repositoryName),
    identity: identityOf(repository),
  }

const refsOf = ({ refs }: Observation): ObservedState => refs
const capabilitiesOf = ({ capabilities }: Observation): ObservedState => capabilities

/** What must have changed before a failed fill may go well. */
const stateOf = ({ token, generation }: ObservedState): string => `${token} ${generation}`

/** A repository's name for rules: a worktree is its Git directory's. */
const repositoryName = (path: string): string => path.replace(/(^|\/)\.git$/, '')

/** Errors that come of the moment, and not of the configuration that was to be read. */
const saysNothing = (error: unknown): boolean =>
  error instanceof Overloaded || error instanceof RepositoryExchanged || error instanceof FilesystemUnanswered

/** Why a fill failed, as the metrics name it. */
function faultOf(error: unknown): FillFault | 'shed' | 'backing-off' | 'exchanged' | 'unanswered' {
  if (!(error instanceof FillError)) return 'producer'
  if (error.cause instanceof Overloaded) return 'shed'
  if (error.cause instanceof RepositoryExchanged) return 'exchanged'
  if (error.cause instanceof FilesystemUnanswered) return 'unanswered'
  return error.cause instanceof BackingOff ? 'backing-off' : error.fault
}
