import type { Observer } from './observation/observer.js'
import type { Git } from '../../git/process/git.js'
import type { GitProcess } from '../../git/process/git-process.js'
import { httpBackend, type BackendAdmission, type BackendRequest } from '../../git/process/http-backend.js'
import type { Repository } from '../../git/state/repository.js'
import type { StallDetector } from '../../limits/connection/stall-detector.js'
import type { Metrics } from '../../telemetry/metrics.js'
import type { DiskLeases } from './disk-leases.js'
import { type Target } from '../target.js'
import { observeTarget } from './observe-target.js'

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

export type PassThroughRequest = Omit<BackendRequest, 'exportAll'>

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
   * Starts a process for a request that changes nothing, as soon as the process limiter permits.
   * @throws RepositoryNotFound, RepositoryExchanged, FilesystemUnanswered, Overloaded, or the queueing signal's reason
   */
  async passThrough(
    target: Target,
    request: PassThroughRequest,
    admission: BackendAdmission,
  ): Promise<GitProcess> {
    const { repository } = await observeTarget(this.#options.observer, target)
    return this.#run(repository, request, admission)
  }

  /** Does the same for a request that may change the repository (a push), and holds a lease while the process runs. */
  async mutate(
    target: Target,
    request: PassThroughRequest,
    admission: BackendAdmission,
  ): Promise<GitProcess> {
    const { repository } = await observeTarget(this.#options.observer, target)
    let end: (() => void) | undefined
    const starting = (): void => {
      end = this.#options.leases.hold(repository, 'push')
    }
    try {
      const process = await this.#run(repository, request, { ...admission, starting })
      void process.ended.then(() => end?.())
      return process
    } catch (error) {
      end?.()
      throw error
    }
  }

  async #run(
    repository: Repository,
    request: PassThroughRequest,
    admission: BackendAdmission,
  ): Promise<GitProcess> {
    const { git, exportAll } = this.#options
    const process = await httpBackend(git, repository, { ...request, exportAll }, admission)
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
