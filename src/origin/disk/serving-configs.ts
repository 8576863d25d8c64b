import { LRUCache } from 'lru-cache'
import type { Observation } from './observation/observer.js'
import type { Git } from '../../git/process/git.js'
import type { Installation } from '../../git/process/installation.js'
import { readServingConfig, type ServingConfig } from '../../git/process/serving-config.js'
import type { BackOff } from '../../limits/back-off.js'
import { throwIfBackingOff } from '../faults/backing-off.js'
import { momentaryFault } from '../faults/faults.js'
import { entriesAtMost } from '../../limits/entries-at-most.js'

/** The part of an observation that the configuration is read for. */
export type ObservedConfiguration = Pick<Observation, 'repository' | 'config' | 'capabilities'>

export interface ServingConfigsOptions {
  readonly git: Git
  /** What is known of this Git. */
  readonly installation: Promise<Pick<Installation, 'version'>>
  readonly backOff: BackOff
}

/** Most configuration states whose answer is kept. */
const configsMax = 10_000

/** The serving configuration of repositories: each configuration state is read once, by one Git process (single flight). */
export class ServingConfigs {
  readonly #options: ServingConfigsOptions
  /** By the token of the state of repository and configuration. */
  readonly #settled = new LRUCache<string, ServingConfig | Promise<ServingConfig>>(entriesAtMost(configsMax))
  /** By observation, where the state is unsettled: shared only by the requests that share the observation. */
  readonly #unsettled = new WeakMap<ObservedConfiguration, Promise<ServingConfig>>()

  constructor(options: ServingConfigsOptions) {
    this.#options = options
  }

  /**
   * Returns a repository's serving configuration: at once if it is known.
   * @throws BackingOff; or rejects with GitError, Overloaded, RepositoryExchanged, FilesystemUnanswered
   */
  of(observation: ObservedConfiguration): ServingConfig | Promise<ServingConfig> {
    const { token, unsettledMs } = observation.capabilities
    const isSettled = unsettledMs === 0
    const known = isSettled ? this.#settled.get(token) : this.#unsettled.get(observation)
    if (known) return known
    const reading = this.#read(observation)
    if (isSettled) this.#keep(token, reading)
    else this.#unsettled.set(observation, reading)
    return reading
  }

  #read({ repository, config, capabilities: { token } }: ObservedConfiguration): Promise<ServingConfig> {
    const { git, installation, backOff } = this.#options
    const key = `configuration ${token}`
    throwIfBackingOff(backOff, key)
    const reading = installation.then(({ version }) => readServingConfig(git, repository, config, version))
    reading.then(
      () => backOff.succeeded(key),
      (error: unknown) => {
        if (momentaryFault(error) === undefined) backOff.failed(key, error)
      },
    )
    return reading
  }

  #keep(token: string, reading: Promise<ServingConfig>): void {
    this.#settled.set(token, reading)
    reading.then(
      (config) => this.#settled.set(token, config),
      () => this.#settled.delete(token),
    )
  }
}
