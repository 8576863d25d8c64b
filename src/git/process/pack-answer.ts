import { AnswerEnding } from '../protocol/answer-ending.js'
import type { FetchRequest } from '../protocol/fetch-request.js'
import { GitError } from './git-error.js'

/** Most bytes of an answer that refuses a request: one packet is shorter (gitprotocol-common(5)). */
const refusalMax = 64 * 1024
/** Most bytes of Git's error message in the message of an exception. */
const shownMax = 200

/** Git refused the request before anything else, with an error message for the client. */
export class PackRefused extends GitError {
  override readonly name = 'PackRefused'
  /** The whole answer of Git, which its client understands. */
  readonly answer: Buffer

  constructor(answer: Buffer) {
    super(
      `git upload-pack: refused the request: ${JSON.stringify(answer.toString('latin1', 4, 4 + shownMax))}`,
    )
    this.answer = answer
  }
}

/** Watches how an answer is read. */
export interface AnswerPace {
  /** A chunk has come. */
  came?(): void
  /** A chunk is about to be handed over. */
  handing?(): void
  /** It was taken. */
  taken?(): void
}

/**
 * Yields the chunks of an answer to a fetch, except that an error message at its beginning is held back, and thrown once it is
 * whole. Returns how the answer ended; if it is a whole answer for a client is known only together with how its source ended.
 * @throws PackRefused; GitError if it is not an answer; what reading the chunks throws
 */
export async function* packAnswer(
  chunks: AsyncIterable<Buffer>,
  pace: AnswerPace = {},
): AsyncGenerator<Buffer, AnswerEnding> {
  const ending = new AnswerEnding()
  /** The answer so far, until it is known not to be a refusal: mostly nothing is ever held back. */
  const held: Buffer[] = []
  let heldSize = 0
  for await (const chunk of chunks) {
    pace.came?.()
    ending.push(chunk)
    ending.requirePackets()
    if (ending.beginsWithError === false) {
      if (held.length > 0) yield* held.splice(0)
      pace.handing?.()
      yield chunk
      pace.taken?.()
      continue
    }
    held.push(chunk)
    heldSize += chunk.length
    if (heldSize > refusalMax) throw new GitError('git upload-pack: its error message is too long')
  }
  if (ending.beginsWithError && ending.endsInPacket) throw new PackRefused(Buffer.concat(held))
  return ending
}

/** Is an answer that ends so whole for its client? */
export const isWhole = (ending: AnswerEnding, { endsInFlush }: Pick<FetchRequest, 'endsInFlush'>): boolean =>
  endsInFlush ? ending.endsInFlush || ending.endsInError : ending.endsInPacket
