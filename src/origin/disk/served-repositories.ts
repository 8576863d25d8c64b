import type { ObjectsObservation, Observation, Observer } from './observation/observer.js'
import type { ServingConfig } from '../../git/process/serving-config.js'
import { RepositoryNotFound, ServiceDisabled } from '../faults/errors.js'
import type { ObservedConfiguration, ServingConfigs } from './serving-configs.js'
import { type Target } from '../target.js'
import { checkedTarget } from './observe-target.js'
import type { UnservedNotices } from './unserved-notices.js'

export interface ServedRepositoriesOptions {
  /** Serve repositories without git-daemon-export-ok too. */
  readonly exportAll: boolean
  readonly observer: Observer
  readonly servingConfigs: ServingConfigs
  readonly notices: UnservedNotices
}

/** Observes repositories, and tells whether clients may read them: those that are exported and not disabled. */
export class ServedRepositories {
  readonly #options: ServedRepositoriesOptions

  constructor(options: ServedRepositoriesOptions) {
    this.#options = options
  }

  /** Observes an exported repository. @throws RepositoryNotFound, RepositoryExchanged, FilesystemUnanswered */
  observe(target: Target): Promise<Observation> {
    return this.look(target).then((observed) => this.exported(target, observed))
  }

  /**
   * The first half of `observe`: what is at the path of a target, whether clients may read it or not. Requests share the
   * promise. @throws FilesystemUnanswered
   */
  look({ path }: Target): Promise<Observation | undefined> {
    return this.#options.observer.observe(path)
  }

  /** The same for what decides its packs, without its refs. */
  observeObjects(target: Target): Promise<ObjectsObservation> {
    return this.#options.observer
      .observeObjects(target.path)
      .then((observed) => this.exported(target, observed))
  }

  /** The second half of `observe`. @throws RepositoryNotFound, RepositoryExchanged */
  exported<T extends Observation | ObjectsObservation>(target: Target, observed: T | undefined): T {
    const state = checkedTarget(target, observed)
    const { path } = target
    const { notices, exportAll } = this.#options
    const name = state.repository.gitName || '.'
    if (!(state.exported || exportAll)) {
      notices.tell(name, 'not-exported')
      throw new RepositoryNotFound(path)
    }
    notices.served(name)
    return state
  }

  /**
   * Returns how an observed repository is served.
   * @throws ServiceDisabled, BackingOff, or rejects with them, GitError, Overloaded, RepositoryExchanged
   */
  servingConfig(state: ObservedConfiguration): ServingConfig | Promise<ServingConfig> {
    const known = this.#options.servingConfigs.of(state)
    return known instanceof Promise ? known.then(enabled) : enabled(known)
  }
}

function enabled(serving: ServingConfig): ServingConfig {
  if (!serving.uploadPack) throw new ServiceDisabled('http.uploadpack is off')
  return serving
}
