import type { Metrics } from '../../telemetry/metrics.js'
import { PeerRefused, type Peers } from '../peers/peer.js'
import { retired } from './claimed-fill.js'
import type { Borrow, Claimed, Claims } from './claims.js'
import type { Election } from './election.js'
import { FillFailedElsewhere } from '../fill-failed-elsewhere.js'
import type { HeldLease } from './held-lease.js'
import type { SharedAnswer, SharedQuestion } from './shared-fill.js'

export interface SharedAnswersOptions {
  readonly claims: Claims
  readonly peers: Peers
  readonly metrics: Pick<Metrics, 'fleetBorrowed'>
  /** Begins the claims of a question. */
  readonly elect: (claimed: Claimed) => Election
  /** As in `ClaimedFillOptions`. */
  readonly isRetired: () => boolean
}

type Question = SharedQuestion<AsyncIterable<Buffer> | 'unchanged'>

/** Questions to origins of which the fleet asks one at a time per key. The lease is held until the answer's body has ended. */
export class SharedAnswers {
  readonly #options: SharedAnswersOptions

  constructor(options: SharedAnswersOptions) {
    this.#options = options
  }

  /**
   * Asks the origin, or the node that is asking it. A node that fails before the first byte is replaced; later, the body
   * throws.
   * @throws what the question's own ask() throws; FillFailedElsewhere; PeerRefused if a third node would have to be asked
   */
  async ask(question: Question, claimed: Claimed): Promise<SharedAnswer> {
    const { signal, fromPeer } = question
    if (fromPeer && this.#options.isRetired()) throw new PeerRefused('elsewhere', retired)
    const election = this.#options.elect(claimed)
    let isTold = false
    const borrowed = (): void => {
      if (!isTold) question.borrowed()
      isTold = true
    }
    let decision = await election.first()
    for (;;) {
      if (decision.kind === 'run') return this.#askOrigin(question, claimed, decision.lease)
      signal.throwIfAborted()
      if (decision.kind === 'failed') throw new FillFailedElsewhere(decision.failure, decision.leftMs)
      if (fromPeer) throw new PeerRefused('elsewhere')
      borrowed()
      let hasBegun = false
      try {
        return await this.#askPeer(question, decision, () => (hasBegun = true))
      } catch (error) {
        signal.throwIfAborted()
        decision = await election.again(decision, error, hasBegun, signal)
      }
    }
  }

  async #askOrigin(
    { signal, ask }: Question,
    claimed: Claimed,
    lease: HeldLease | undefined,
  ): Promise<SharedAnswer> {
    // What is answered depends on who asks and when: there is nothing to publish.
    const release = (): void => {
      signal.removeEventListener('abort', release)
      if (lease) this.#options.claims.publish(claimed, lease, { kind: 'nothing' })
    }
    signal.addEventListener('abort', release, { once: true })
    try {
      signal.throwIfAborted()
      const answer = await ask()
      if (answer !== 'unchanged')
        return { answer: bodyOf(answer[Symbol.asyncIterator](), undefined, release), ageMs: 0 }
      release()
      return { answer, ageMs: 0 }
    } catch (error) {
      release()
      throw error
    }
  }

  /** @param begun called when the node has begun to answer */
  async #askPeer(
    { question, sha256, signal }: Question,
    { node }: Borrow,
    begun: () => void,
  ): Promise<SharedAnswer> {
    const { peers, metrics } = this.#options
    const { body, ageMs } = await peers.ask(node, question, { sha256, signal })
    begun()
    const count = (): void => metrics.fleetBorrowed.inc({ way: 'peer' })
    if (body === 'unchanged') {
      count()
      return { answer: body, ageMs }
    }
    const chunks = body[Symbol.asyncIterator]()
    let first = await chunks.next()
    // An empty chunk says only that the node is alive.
    while (!first.done && first.value.length === 0) first = await chunks.next()
    const ended = (isWhole: boolean): void => {
      if (isWhole) count()
    }
    return { answer: bodyOf(chunks, first, ended), ageMs }
  }
}

/**
 * Returns a body whose end is told, once, whether it is read to its end, fails or is returned early; also before its
 * first byte is read, unlike a generator's.
 * @param first what has been read of it
 */
function bodyOf(
  chunks: AsyncIterator<Buffer>,
  first: IteratorResult<Buffer> | undefined,
  ended: (isWhole: boolean) => void,
): AsyncIterable<Buffer> {
  let isOver = false
  const end = (isWhole: boolean): void => {
    if (isOver) return
    isOver = true
    ended(isWhole)
  }
  const iterator: AsyncIterator<Buffer> = {
    next: async () => {
      try {
        const next = first ?? (await chunks.next())
        first = undefined
        if (next.done) end(true)
        return next
      } catch (error) {
        end(false)
        throw error
      }
    },
    return: async () => {
      end(false)
      await chunks.return?.()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => iterator }
}
