import type { AnsweredEntry, PeerAnswerer, PeerQuestion } from '../../fleet/peers/peer.js'
import { PeerRefused } from '../../fleet/peers/peer.js'
import { parseQuestion, type DiskQuestion, type UpstreamQuestion } from './peer-question.js'

/** The part of an origin that answers other nodes. Access was checked by the node that asks. */
export interface PeerOrigin<Question> {
  /** As `PeerAnswerer.answer`. */
  answer(question: Question, signal: AbortSignal): Promise<AnsweredEntry>
}

export interface PeerAnswersOptions {
  /** undefined: there is no root. */
  readonly disk: PeerOrigin<DiskQuestion> | undefined
  /** undefined: there is no upstream. */
  readonly upstream: PeerOrigin<UpstreamQuestion> | undefined
  /** Takes note of what another node tells. */
  readonly hear: PeerAnswerer['hear']
}

/** Answers the questions of other nodes, by the origin that each is about. */
export class PeerAnswers implements PeerAnswerer {
  readonly #options: PeerAnswersOptions

  constructor(options: PeerAnswersOptions) {
    this.#options = options
  }

  async answer(asked: PeerQuestion, signal: AbortSignal): Promise<AnsweredEntry> {
    const question = parseQuestion(asked)
    const { disk, upstream } = this.#options
    signal.throwIfAborted()
    const answer =
      question.origin === 'disk' ? disk?.answer(question, signal) : upstream?.answer(question, signal)
    if (!answer) throw new PeerRefused('different', `this node has no origin ${question.origin}`)
    return answer
  }

  hear(message: PeerQuestion): void {
    this.#options.hear(message)
  }
}
