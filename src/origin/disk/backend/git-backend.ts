import type { Observer } from '../observation/observer.js'
import type { Git } from '../../../git/process/git.js'
import type { GitProcess } from '../../../git/process/git-process.js'
import { httpBackend, type BackendAdmission, type BackendRequest } from '../../../git/process/http-backend.js'
import type { Repository } from '../../../git/state/repository.js'
import type { StallDetector } from '../../../limits/connection/stall-detector.js'
import type { Metrics } from '../../../telemetry/metrics.js'
import type { DiskLeases } from '../disk-leases.js'
import type { OriginResponse, PassThroughAdmission, PassThroughRequest } from '../../pass-through.js'
import type { Target } from '../../target.js'
import { backendRequest } from './backend-request.js'
import { backendResponse } from './backend-response.js'
import { observeTarget } from '../observe-target.js'

export interface GitBackendOptions {
  /** Serve repositories without git-daemon-export-ok too. */
  readonly exportAll: boolean
  readonly git: Git
  readonly observer: Observer
  readonly leases: Pick<DiskLeases, 'hold'>
  /** Finds Git processes that no byte comes from or goes to. */
  readonly processStalls: StallDetector
  readonly metrics: Pick<Metrics, 'passThroughCut'>
}

/**
 * Runs `git http-backend` for requests that refstream does not answer itself. A process that moves no byte for too long
 * is ended.
 */
export class GitBackend {
  readonly #options: GitBackendOptions

  constructor(options: GitBackendOptions) {
    this.#options = options
  }

  /**
   * Answers a request that changes nothing, by a process that starts as soon as the process limiter permits.
   * @throws ServiceDisabled, RepositoryNotFound, RepositoryExchanged, FilesystemUnanswered, Overloaded, GitError,
   * PushRefused, or the queueing signal's reason
   */
  async passThrough(
    target: Target,
    request: PassThroughRequest,
    admission: PassThroughAdmission,
  ): Promise<OriginResponse> {
    const asked = backendRequest(request, this.#options.exportAll)
    const { repository } = await observeTarget(this.#options.observer, target)
    return backendResponse(await this.#run(repository, asked, admission), request)
  }

  /** Does the same for a request that may change the repository (a push), and holds a lease while the process runs. */
  async mutate(
    target: Target,
    request: PassThroughRequest,
    admission: PassThroughAdmission,
  ): Promise<OriginResponse> {
    const asked = backendRequest(request, this.#options.exportAll)
    const { repository } = await observeTarget(this.#options.observer, target)
    let end: (() => void) | undefined
    // A push must not begin before its lease is open.
    const starting = (): void | Promise<void> => {
      const held = this.#options.leases.hold(repository, 'push', () => process?.end())
      if (!(held instanceof Promise)) end = held
      else return held.then((release) => void (end = release))
    }
    let process: GitProcess | undefined
    try {
      process = await this.#run(repository, asked, { ...admission, starting })
    } catch (error) {
      end?.()
      throw error
    }
    void process.ended.then(() => end?.())
    return backendResponse(process, request)
  }

  async #run(
    repository: Repository,
    request: BackendRequest,
    admission: BackendAdmission,
  ): Promise<GitProcess> {
    const process = await httpBackend(this.#options.git, repository, request, admission)
    this.#endWhenStalled(process)
    return process
  }

  #endWhenStalled(process: GitProcess): void {
    const { processStalls, metrics } = this.#options
    const watched = { taken: () => process.moved, owed: () => true }
    const stop = processStalls.watch(watched, () => {
      metrics.passThroughCut.inc()
      process.end()
    })
    void process.ended.then(stop)
  }
}
