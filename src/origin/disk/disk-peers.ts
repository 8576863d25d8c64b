import { PeerRefused, type AnsweredEntry } from '../../fleet/peers/peer.js'
import { RepositoryExchanged } from '../../git/state/reopen-repository.js'
import { RepositoryNotFound, ServiceDisabled } from '../faults/errors.js'
import type { PackService } from '../packs/pack-service.js'
import type { PeerOrigin } from '../peers/peer-answers.js'
import { fetchOf, type DiskQuestion } from '../peers/peer-question.js'
import { packIdentity } from './disk-packs.js'
import type { DiskRefs } from './disk-refs.js'

export interface DiskPeersOptions {
  readonly refs: Pick<DiskRefs, 'readForPeer'>
  readonly packs: Pick<PackService, 'readForPeer'>
}

/** Answers other nodes about repositories here: by the rules for clients, with observations that begin after they asked. */
export class DiskPeers implements PeerOrigin<DiskQuestion> {
  readonly #options: DiskPeersOptions

  constructor(options: DiskPeersOptions) {
    this.#options = options
  }

  async answer(question: DiskQuestion, signal: AbortSignal): Promise<AnsweredEntry> {
    try {
      return await this.#answer(question, signal)
    } catch (error) {
      // The other node has just seen the repository, so its clients are not to be told this.
      const isElsewhere =
        error instanceof RepositoryNotFound ||
        error instanceof ServiceDisabled ||
        error instanceof RepositoryExchanged
      throw isElsewhere ? new PeerRefused('different', 'there is no such repository here') : error
    }
  }

  async #answer(question: DiskQuestion, signal: AbortSignal): Promise<AnsweredEntry> {
    const { refs, packs } = this.#options
    const { path, asked, oldestMs } = question
    if (asked.kind === 'pack') {
      const { reading, notes } = await packs.readForPeer({ path }, fetchOf(asked), {
        ...{ admitted: asked.admitted, identity: packIdentity(question), oldestMs, signal },
      })
      return { follower: reading.follower, sha256: reading.entry.sha256, ageMs: 0, notes }
    }
    const { reading, ageMs } = await refs.readForPeer({ path }, asked, question)
    // As of now, which is no less than it was when the question came.
    return { follower: reading.follower, sha256: reading.entry.sha256, ageMs: 0, notes: () => ({ ageMs }) }
  }
}
