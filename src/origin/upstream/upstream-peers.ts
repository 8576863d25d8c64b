import type { AnsweredEntry } from '../../fleet/peers/peer.js'
import { PeerRefused } from '../../fleet/peers/peer.js'
import { RepositoryNotFound } from '../faults/errors.js'
import type { PackService } from '../packs/pack-service.js'
import type { PeerOrigin } from '../peers/peer-answers.js'
import { fetchOf, type UpstreamQuestion } from '../peers/peer-question.js'
import { askedIdentity, requireSame } from './peer-question-of.js'
import type { UpstreamRefs } from './refs/upstream-refs.js'
import type { Upstreams } from './upstreams.js'

export interface UpstreamPeersOptions {
  readonly upstreams: Pick<Upstreams, 'find'>
  readonly refs: Pick<UpstreamRefs, 'readForPeer'>
  readonly packs: Pick<PackService, 'readForPeer'>
}

/** Answers other nodes about repositories of upstreams, in the name of the client that has asked them. */
export class UpstreamPeers implements PeerOrigin<UpstreamQuestion> {
  readonly #options: UpstreamPeersOptions

  constructor(options: UpstreamPeersOptions) {
    this.#options = options
  }

  async answer(question: UpstreamQuestion, signal: AbortSignal): Promise<AnsweredEntry> {
    // Before anything else: what began later is newer than the question.
    const arrivedAtMs = performance.now()
    const { refs, packs } = this.#options
    const { path, asked, maxAgeMs } = question
    const target = { path, credentials: question.credentials, client: { signal } }
    const repository = this.#find(question)
    if (asked.kind === 'pack') {
      const identity = askedIdentity(question)
      const { reading, notes } = await packs.readForPeer(target, fetchOf(asked), {
        admitted: asked.admitted,
        identity,
      })
      return { follower: reading.follower, sha256: reading.entry.sha256, ageMs: 0, notes }
    }
    const { entry, follower, atMs } = await refs.readForPeer(repository, asked, maxAgeMs, signal)
    return { follower, sha256: entry.sha256, ageMs: Math.max(0, arrivedAtMs - atMs) }
  }

  #find(question: UpstreamQuestion): ReturnType<Upstreams['find']> {
    const { path, credentials } = question
    try {
      const repository = this.#options.upstreams.find({ path, credentials })
      requireSame(repository, question)
      return repository
    } catch (error) {
      if (!(error instanceof RepositoryNotFound)) throw error
      throw new PeerRefused('different', 'no upstream has such a repository here')
    }
  }
}
