import { hash } from 'node:crypto'
import type { ObjectsObservation } from './observation/observer.js'
import type { ObservedState } from '../../freshness/observed-state.js'
import type { FetchRequest } from '../../git/protocol/fetch-request.js'
import { identityOf } from '../../git/state/repository.js'
import type { DiskRefs } from './disk-refs.js'
import type { ServedRepositories } from './served-repositories.js'
import { TagDigests } from '../packs/tag-digests.js'
import type { Target } from '../target.js'

/** What an answer to a fetch depends on, at one moment. */
export interface PackState {
  /** Equal names: the same answer would do. No space is in it. */
  readonly name: string
  /** Digest of the tags, if it depends on them. */
  readonly tags: string | undefined
  /** As in `ObservedState`. */
  readonly unsettledMs: number
  readonly maxAgeMs: number
}

export interface PackNamesOptions {
  readonly served: ServedRepositories
  readonly refs: Pick<DiskRefs, 'listRefs'>
}

/**
 * Names what an answer to a fetch depends on: the repository's identity; the configuration, the Git program, `shallow`,
 * grafts and alternates (one token); the request itself; and of the refs no more than the answer depends on, so that a
 * push to one branch leaves the packs of others as they are.
 */
export class PackNames {
  readonly #options: PackNamesOptions
  readonly #tagDigests = new TagDigests()

  constructor(options: PackNamesOptions) {
    this.#options = options
  }

  /**
   * Returns the state that an answer depends on now.
   * @param observed of the target, after the request had arrived
   * @param knownTags taken instead of the tags' digest now
   * @throws as `ServedRepositories.observe` and `DiskRefs.listRefs` do
   */
  async stateOf(
    target: Target,
    asked: FetchRequest,
    observed: ObjectsObservation,
    knownTags?: string,
  ): Promise<PackState> {
    const { repository, objects } = observed
    const identity = identityOf(repository)
    const own: Target = { path: target.path, identity }
    const states: ObservedState[] = [objects]
    if (asked.dependsOn === 'refs') states.push((await this.#options.served.observe(own)).refs)
    const tags = asked.dependsOn === 'tags' ? (knownTags ?? (await this.#tagsOf(own))) : undefined
    const tokens = states.flatMap(({ token, generation, openings, epoch }) =>
      epoch === undefined ? [token, generation, openings] : [token, epoch],
    )
    const { gitDir } = repository
    return {
      name: hash('sha256', JSON.stringify([identity, gitDir, asked.digest, tags, ...tokens]), 'base64url'),
      tags,
      unsettledMs: Math.max(...states.map(({ unsettledMs }) => unsettledMs)),
      maxAgeMs: Math.min(...states.map(({ maxAgeMs }) => maxAgeMs)),
    }
  }

  async #tagsOf(target: Target): Promise<string> {
    const answer = await this.#options.refs.listRefs(target)
    return answer ? this.#tagDigests.of(answer.listing) : ''
  }
}
