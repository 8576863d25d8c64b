import { PeerRefused, type AnsweredEntry } from '../../fleet/peers/peer.js'
import type { FreshCache } from '../../freshness/fresh-cache.js'
import { RepositoryExchanged } from '../../git/state/reopen-repository.js'
import { RepositoryNotFound, ServiceDisabled } from '../faults/errors.js'
import type { PackService } from '../packs/pack-service.js'
import type { PeerOrigin } from '../peers/peer-answers.js'
import { fetchOf, type DiskQuestion } from '../peers/peer-question.js'
import type { DiskRefs } from './disk-refs.js'

export interface DiskPeersOptions {
  readonly refs: Pick<DiskRefs, 'readForPeer'>
  readonly packs: Pick<PackService, 'readForPeer'>
  readonly cache: Pick<FreshCache, 'ageMsOf'>
}

/** Answers other nodes about repositories here: by the rules for clients, with observations that begin after they asked. */
export class DiskPeers implements PeerOrigin<DiskQuestion> {
  readonly #options: DiskPeersOptions

  constructor(options: DiskPeersOptions) {
    this.#options = options
  }

  async answer(question: DiskQuestion): Promise<AnsweredEntry> {
    try {
      return await this.#answer(question)
    } catch (error) {
      // The other node has just seen the repository, so its clients are not to be told this.
      const isElsewhere =
        error instanceof RepositoryNotFound ||
        error instanceof ServiceDisabled ||
        error instanceof RepositoryExchanged
      throw isElsewhere ? new PeerRefused('different', 'there is no such repository here') : error
    }
  }

  async #answer({ path, repository, maxAgeMs, asked }: DiskQuestion): Promise<AnsweredEntry> {
    const { refs, packs, cache } = this.#options
    if (asked.kind === 'pack') {
      const { admitted } = asked
      const { reading, notes } = await packs.readForPeer({ path }, fetchOf(asked), {
        ...{ admitted, identity: repository, maxAgeMs },
      })
      return { follower: reading.follower, sha256: reading.entry.sha256, ageMs: 0, notes }
    }
    const { entry, follower } = await refs.readForPeer({ path }, asked, repository, maxAgeMs)
    // As of now, which is no less than it was when the question came.
    const ageMs = cache.ageMsOf(entry)
    // Of an entry with a rope it is computed once, and not for each node that asks.
    const sha256 = await entry.digest()
    return { follower, sha256, ageMs: 0, notes: () => ({ ageMs }) }
  }
}
