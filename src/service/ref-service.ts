import { LRUCache } from 'lru-cache'
import type { FreshCache, Question, Reading, Reuse, Sight } from '../freshness/fresh-cache.js'
import type { Observation, Observer } from '../freshness/observer.js'
import type { Git, GitProcess } from '../git/git.js'
import { httpBackend, type BackendRequest } from '../git/http-backend.js'
import type { LsRefsRequest } from '../git/ls-refs.js'
import type { ProtocolVersion } from '../git/protocol.js'
import type { Repository } from '../git/repository.js'
import { readServing, type Serving } from '../git/serving.js'
import { advertisement, refListing } from '../git/upload-pack.js'
import type { Entry, FillResult } from '../streamcache/index.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import { RepositoryNotFound, ServiceDisabled } from './errors.js'
import type { LeaseService } from './lease-service.js'
import { RefListings, type SharedListing } from './ref-listings.js'

export interface RefServiceOptions {
  /** The repositories root, absolute and free of links. */
  readonly root: string
  readonly exportAll: boolean
  readonly git: Git
  readonly observer: Observer
  readonly leases: LeaseService
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

/** What there may be of a repository in the cache: the beginnings of its keys. */
const keyKinds = [
  ...['advertisement v0', 'advertisement v1', 'advertisement v2'],
  ...['listing sha1', 'listing sha256'],
]

/** What all doors offer. Paths are decoded and relative to the root; see `decodeRepositoryPath`. */
export class RefService {
  readonly #options: RefServiceOptions
  readonly #listings: RefListings
  /** By repository and configuration state. */
  readonly #serving = new LRUCache<string, Promise<Serving>>({ max: 10_000 })
  /** The same by look, for states that cannot be named. */
  readonly #servingNow = new WeakMap<Observation, Promise<Serving>>()

  constructor(options: RefServiceOptions) {
    this.#options = options
    this.#listings = new RefListings(options.listingsMaxBytes)
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
    const sight = (seen: Observation): Sight => (version === 2 ? seen.capabilities : seen.refs)
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
    return this.#backend(this.#find(path), request, signal)
  }

  /**
   * The same for a request that may change the repository: a push. Holds a lease while the process runs.
   * @throws RepositoryNotFound
   */
  mutate(path: string, request: Omit<BackendRequest, 'exportAll'>, signal: AbortSignal): GitProcess {
    const repository = this.#find(path)
    const end = this.#options.leases.hold(repository, 'push')
    const process = this.#backend(repository, request, signal)
    void process.ended.then(end)
    return process
  }

  #find(path: string): Repository {
    const repository = this.#options.observer.find(path)
    if (!repository) throw new RepositoryNotFound(path)
    return repository
  }

  #backend(
    repository: Repository,
    request: Omit<BackendRequest, 'exportAll'>,
    signal: AbortSignal,
  ): GitProcess {
    const { root, git, exportAll } = this.#options
    return httpBackend(git, root, repository, { ...request, exportAll }, signal)
  }

  /** Drops what is kept of a repository, so that it does not come back after a restart. */
  forget(gitDir: string): void {
    for (const kind of keyKinds) this.#options.cache.forget(`${kind} ${gitDir}`)
  }

  /** What a client may read. @throws RepositoryNotFound, ServiceDisabled */
  async #open(path: string): Promise<{ state: Observation; serving: Serving }> {
    const state = await this.#exported(path)
    const serving = await this.#readServing(state)
    if (!serving.uploadPack) throw new ServiceDisabled('http.uploadpack is off')
    return { state, serving }
  }

  #read(
    path: string,
    kind: 'advertisement' | 'listing',
    variant: string,
    sight: (seen: Observation) => Sight,
    state: Observation,
    question: Pick<Question, 'source' | 'holds'>,
  ): Promise<Reading> {
    const key = `${kind} ${variant} ${state.repository.gitDir}`
    return this.#options.cache.read(key, sight(state), {
      ...question,
      observe: async () => sight(await this.#exported(path)),
      filling: (entry, ended) => this.#countFill(kind, entry, ended),
    })
  }

  async #exported(path: string): Promise<Observation> {
    const state = await this.#options.observer.observe(path)
    if (!state || !(state.exported || this.#options.exportAll)) throw new RepositoryNotFound(path)
    return state
  }

  /** One answer of Git's for all who ask about the same state, or with the same look. */
  #readServing(state: Observation): Promise<Serving> {
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
