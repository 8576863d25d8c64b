import type { Follower } from '../../streamcache/index.js'
import { InvalidGitOverrides } from '../faults/errors.js'
import { overridesNothing } from '../git-overrides.js'
import type { Origin } from '../origin.js'
import type { PackService } from '../packs/pack-service.js'
import type { Target } from '../target.js'
import type { UpstreamBackend } from './upstream-backend.js'
import type { UpstreamRefs } from './refs/upstream-refs.js'
import { NotSmart } from './upstream-requests.js'
import type { Upstreams } from './upstreams.js'

export interface UpstreamOriginOptions {
  readonly upstreams: Upstreams
  readonly refs: UpstreamRefs
  readonly packs: PackService
  readonly backend: UpstreamBackend
}

/** Repositories of other Git servers, reached over HTTP. */
export class UpstreamOrigin implements Origin {
  readonly #options: UpstreamOriginOptions

  constructor(options: UpstreamOriginOptions) {
    this.#options = options
  }

  readonly advertise: Origin['advertise'] = async (target, version) => {
    const { upstreams, refs } = this.#options
    try {
      return await refs.advertise(upstreams.find(target), version, target.client?.signal)
    } catch (error) {
      if (error instanceof NotSmart) return undefined
      throw error
    }
  }

  readonly advertiseUncached: Origin['advertiseUncached'] = async (target, version, overrides, signal) => {
    if (!overridesNothing(overrides))
      throw new InvalidGitOverrides('an upstream server takes no configuration from a client')
    const { upstreams, refs } = this.#options
    const { follower } = await refs.advertise(upstreams.find(target), version, signal)
    return untilAborted(follower, signal)
  }

  readonly listRefs: Origin['listRefs'] = async (target, asked = {}) => {
    const { upstreams, refs } = this.#options
    return refs.list(upstreams.find(target), asked, target.client?.signal)
  }

  readonly fetch: Origin['fetch'] = (...asked) => this.#options.packs.fetch(...asked)
  readonly passed: Origin['passed'] = (reason) => this.#options.packs.passed(reason)
  readonly passThrough: Origin['passThrough'] = (...asked) => this.#options.backend.passThrough(...asked)
  readonly mutate: Origin['mutate'] = (...asked) => this.#options.backend.mutate(...asked)

  /** Is there an upstream for the repository of a target? */
  has(target: Target): boolean {
    return this.#options.upstreams.has(target.path)
  }

  /** Resolves if the upstream lets the client of a target read the repository. @throws as `advertise` */
  async verdict(target: Target): Promise<void> {
    const { upstreams, refs } = this.#options
    await refs.verdict(upstreams.find(target), target.client?.signal)
  }

  /** Is the repository of a target known to have moved to another place of the upstream? */
  hasMoved(target: Target): boolean {
    return this.#options.refs.hasMoved(this.#options.upstreams.find(target))
  }
}

/** Yields what a follower reads. @throws the signal's reason when it aborts: the follower is closed then */
async function* untilAborted(follower: Follower, signal: AbortSignal): AsyncGenerator<Buffer> {
  const close = (): void => follower.close(signal.reason as Error)
  signal.addEventListener('abort', close, { once: true })
  try {
    signal.throwIfAborted()
    yield* follower
  } finally {
    signal.removeEventListener('abort', close)
    follower.close()
  }
}
