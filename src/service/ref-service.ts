import { LRUCache } from 'lru-cache'
import type { FreshCache, Question, Reading, Reuse } from '../freshness/fresh-cache.js'
import { SharedLooks } from '../freshness/shared-looks.js'
import type { Git, GitProcess } from '../git/git.js'
import { httpBackend, type BackendRequest } from '../git/http-backend.js'
import type { Installation } from '../git/installation.js'
import { createLookMemory, Look } from '../git/look.js'
import type { LsRefsRequest } from '../git/ls-refs.js'
import type { ProtocolVersion } from '../git/protocol.js'
import { lookAtRefState, type LookSettings, type RefState, type Sight } from '../git/ref-state.js'
import { enterRepo } from '../git/repository.js'
import { readServing, type Serving } from '../git/serving.js'
import { advertisement, refListing } from '../git/upload-pack.js'
import type { Entry, FillResult } from '../streamcache/index.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import { RepositoryNotFound, ServiceDisabled } from './errors.js'
import { RefListings, type SharedListing } from './ref-listings.js'

export interface RefServiceOptions {
  /** The repositories root, absolute and free of links. */
  readonly root: string
  readonly exportAll: boolean
  readonly git: Git
  /** What is known of the Git in use; looks wait for it. */
  readonly installation: Promise<Installation>
  readonly cache: FreshCache
  /** Most bytes of memory for ref listings. */
  readonly listingsMaxBytes: number
  readonly metrics: Metrics
  readonly log: Log
}

/** A listing to cut the answer to an ls-refs command from. */
export interface RefAnswer {
  readonly listing: SharedListing
  readonly reuse: Reuse
}

/** What all doors offer. Paths are decoded and relative to the root; see `decodeRepositoryPath`. */
export class RefService {
  readonly #options: RefServiceOptions
  readonly #memory = createLookMemory()
  readonly #looks: SharedLooks<RefState | undefined>
  readonly #lookSettings: Promise<LookSettings>
  readonly #listings: RefListings
  /** By repository and configuration state. */
  readonly #serving = new LRUCache<string, Promise<Serving>>({ max: 10_000 })
  /** The same by look, for states that cannot be named. */
  readonly #servingNow = new WeakMap<RefState, Promise<Serving>>()

  constructor(options: RefServiceOptions) {
    this.#options = options
    this.#lookSettings = options.installation.then((installation) => ({
      root: options.root,
      ...installation,
    }))
    this.#listings = new RefListings(options.listingsMaxBytes)
    this.#looks = new SharedLooks((path) => this.#look(path))
  }

  /**
   * The advertisement of a repository (protocol v2: the capability advertisement), to be read from a follower, which
   * the caller closes. undefined: its bytes differ from client to client, so the request must pass through.
   * @throws RepositoryNotFound, ServiceDisabled, FillError
   */
  async advertise(path: string, version: ProtocolVersion): Promise<Reading | undefined> {
    const { state, serving } = await this.#open(path)
    if (!serving.shared) return undefined
    const { repository } = state
    const sight = (seen: RefState): Sight => (version === 2 ? seen.capabilities : seen.refs)
    return this.#read(path, 'advertisement', `v${version}`, sight, state, {
      source: (signal) => advertisement(this.#options.git, repository, version, signal),
    })
  }

  /**
   * The answer to an ls-refs command, cut from the one listing that there is for the repository's state.
   * undefined: Git would refuse the request, so it must pass through.
   * @throws RepositoryNotFound, ServiceDisabled, FillError
   */
  async listRefs(path: string, request: LsRefsRequest): Promise<RefAnswer | undefined> {
    const { state, serving } = await this.#open(path)
    const { objectFormat } = serving
    if (request.objectFormat !== objectFormat) return undefined
    const { repository } = state
    const reading = await this.#read(path, 'listing', objectFormat, ({ refs }) => refs, state, {
      source: (signal) => refListing(this.#options.git, repository, objectFormat, signal),
      holds: (entry) => this.#listings.holds(entry),
    })
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
   * Starts `git http-backend` on a request that refstream does not answer itself.
   * @throws RepositoryNotFound
   */
  passThrough(path: string, request: Omit<BackendRequest, 'exportAll'>, signal: AbortSignal): GitProcess {
    const { root, git, exportAll } = this.#options
    const repository = enterRepo(new Look(this.#memory), root, path)
    if (!repository) throw new RepositoryNotFound(path)
    return httpBackend(git, root, repository, { ...request, exportAll }, signal)
  }

  /** What a client may read. @throws RepositoryNotFound, ServiceDisabled */
  async #open(path: string): Promise<{ state: RefState; serving: Serving }> {
    const state = await this.#exported(path)
    const serving = await this.#readServing(state)
    if (!serving.uploadPack) throw new ServiceDisabled('http.uploadpack is off')
    return { state, serving }
  }

  #read(
    path: string,
    kind: 'advertisement' | 'listing',
    variant: string,
    sight: (seen: RefState) => Sight,
    state: RefState,
    question: Pick<Question, 'source' | 'holds'>,
  ): Promise<Reading> {
    const key = `${kind} ${variant} ${state.repository.gitDir}`
    return this.#options.cache.read(key, sight(state), {
      ...question,
      observe: async () => sight(await this.#exported(path)),
      filling: (entry, ended) => this.#countFill(kind, entry, ended),
    })
  }

  async #exported(path: string): Promise<RefState> {
    const state = await this.#looks.observe(path)
    if (!state || !(state.exported || this.#options.exportAll)) throw new RepositoryNotFound(path)
    return state
  }

  async #look(path: string): Promise<RefState | undefined> {
    const state = await lookAtRefState(await this.#lookSettings, this.#memory, path)
    const result = !state ? 'missing' : state.refs.unsettledMs > 0 ? 'unsettled' : 'settled'
    this.#options.metrics.observations.inc({ result })
    return state
  }

  /** One answer of Git's for all who ask about the same state, or with the same look. */
  #readServing(state: RefState): Promise<Serving> {
    const { token, unsettledMs } = state.capabilities
    const known = unsettledMs === 0 ? this.#serving.get(token) : this.#servingNow.get(state)
    if (known) return known
    const serving = readServing(this.#options.git, state.repository, state.config)
    if (unsettledMs === 0) {
      this.#serving.set(token, serving)
      serving.catch(() => this.#serving.delete(token))
    } else this.#servingNow.set(state, serving)
    return serving
  }

  #countFill(kind: string, entry: Entry, ended: Promise<FillResult>): void {
    const { fills, fillSeconds, fillBytes, loserWrites, loserBytes } = this.#options.metrics
    const stop = fillSeconds.startTimer({ kind })
    void ended.then((result) => {
      stop()
      const { length } = entry
      fills.inc({ kind, result })
      fillBytes.inc({ kind }, length)
      // Again: what was not on disk yet when the listing had been read had to stay in memory.
      if (this.#listings.holds(entry)) entry.cool()
      if (result === 'failed') this.#options.log.warn({ err: entry.error, key: entry.key }, 'a fill failed')
      if (result !== 'loser') return
      loserWrites.inc()
      loserBytes.inc(length)
    })
  }
}
