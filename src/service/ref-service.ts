import { LRUCache } from 'lru-cache'
import type { FreshCache, Question, Reading } from '../freshness/fresh-cache.js'
import { SharedLooks } from '../freshness/shared-looks.js'
import type { Git, GitProcess } from '../git/git.js'
import { httpBackend, type BackendRequest } from '../git/http-backend.js'
import type { Installation } from '../git/installation.js'
import { createLookMemory, Look } from '../git/look.js'
import type { ProtocolVersion } from '../git/protocol.js'
import { lookAtRefState, type LookSettings, type RefState, type Sight } from '../git/ref-state.js'
import { enterRepo } from '../git/repository.js'
import { readServing, type Serving } from '../git/serving.js'
import { advertisement } from '../git/upload-pack.js'
import type { Metrics } from '../telemetry/metrics.js'
import { RepositoryNotFound, ServiceDisabled } from './errors.js'

export interface RefServiceOptions {
  /** The repositories root, absolute and free of links. */
  readonly root: string
  readonly exportAll: boolean
  readonly git: Git
  /** What is known of the Git in use; looks wait for it. */
  readonly installation: Promise<Installation>
  readonly cache: FreshCache
  readonly metrics: Metrics
}

/** What all doors offer. Paths are decoded and relative to the root; see `decodeRepositoryPath`. */
export class RefService {
  readonly #options: RefServiceOptions
  readonly #memory = createLookMemory()
  readonly #looks: SharedLooks<RefState | undefined>
  readonly #lookSettings: Promise<LookSettings>
  /** By repository and configuration state. */
  readonly #serving = new LRUCache<string, Serving>({ max: 10_000 })

  constructor(options: RefServiceOptions) {
    this.#options = options
    this.#lookSettings = options.installation.then((installation) => ({
      root: options.root,
      ...installation,
    }))
    this.#looks = new SharedLooks((path) => this.#look(path))
  }

  /**
   * The advertisement of a repository (protocol v2: the capability advertisement), to be read from a follower, which
   * the caller closes. undefined: its bytes differ from client to client, so the request must pass through.
   * @throws RepositoryNotFound, ServiceDisabled, FillError
   */
  async advertise(path: string, version: ProtocolVersion): Promise<Reading | undefined> {
    const state = await this.#exported(path)
    const serving = await this.#readServing(state)
    if (!serving.uploadPack) throw new ServiceDisabled('http.uploadpack is off')
    if (!serving.shared) return undefined

    const { repository } = state
    const sight = (seen: RefState): Sight => (version === 2 ? seen.capabilities : seen.refs)
    const question: Question = {
      observe: async () => sight(await this.#exported(path)),
      source: (signal) => advertisement(this.#options.git, repository, version, signal),
      filling: (entry, ended) => this.#countFill(entry.file, ended),
    }
    return this.#options.cache.read(`advertisement v${version} ${repository.gitDir}`, sight(state), question)
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

  async #readServing({ repository, config, capabilities }: RefState): Promise<Serving> {
    const known = this.#serving.get(capabilities.token)
    if (known) return known
    const serving = await readServing(this.#options.git, repository, config)
    if (capabilities.unsettledMs === 0) this.#serving.set(capabilities.token, serving)
    return serving
  }

  #countFill(file: { readonly length: number }, ended: Promise<string>): void {
    const { fills, fillSeconds, fillBytes, loserWrites, loserBytes } = this.#options.metrics
    const kind = 'advertisement'
    const stop = fillSeconds.startTimer({ kind })
    void ended.then((result) => {
      stop()
      fills.inc({ kind, result })
      fillBytes.inc({ kind }, file.length)
      if (result !== 'loser') return
      loserWrites.inc()
      loserBytes.inc(file.length)
    })
  }
}
