import type { FleetFills, FleetKey } from '../../../fleet/fills/shared-fill.js'
import type { AgedAnswer, AgedRequest, AskedElsewhere } from '../../../freshness/aged/aged-request.js'
import { translated } from '../../peers/fleet-run.js'
import type { UpstreamQuestion } from '../../peers/peer-question.js'
import { peerQuestionOf } from '../peer-question-of.js'
import type { UpstreamRepository } from '../upstream.js'
import type { Question } from '../upstream-requests.js'

/** A question about refs that the fleet may ask at another node. */
export interface SharedAsked {
  readonly maxAgeMs: number
  readonly asked: () => UpstreamQuestion['asked']
  readonly isForPeer?: boolean
  readonly ask: (question: Question) => Promise<AsyncIterable<Buffer> | 'unchanged'>
}

/** How such a question is asked. */
export interface SharedAsking {
  readonly ask: (question: Question, elsewhere: AskedElsewhere) => Promise<AgedAnswer>
  readonly terms: Pick<AgedRequest, 'oldestMs' | 'mayRefresh'>
}

/** Returns how a question is asked by one node of the fleet at a time. */
export function sharedAsking(
  fleet: Pick<FleetFills, 'ask' | 'isPreferred'>,
  key: string,
  repository: UpstreamRepository,
  { maxAgeMs, asked, ask, isForPeer = false }: SharedAsked,
): SharedAsking {
  const names: FleetKey = { repository: repository.subject, key }
  const askElsewhere = peerQuestionOf(repository).ask
  return {
    // The other half is for requests that join before the age of the answer is known; see `AgedCache`.
    terms: { oldestMs: isForPeer ? 0 : Math.floor(maxAgeMs / 2), mayRefresh: () => fleet.isPreferred(names) },
    ask: async (question, { oldestMs, borrowed }) => {
      const askHere = (): ReturnType<typeof ask> => {
        borrowed(false)
        return ask(question)
      }
      const answered = fleet.ask({
        ...names,
        question: askElsewhere(asked(), oldestMs),
        fromPeer: isForPeer,
        sha256: question.kept?.sha256,
        signal: question.signal,
        ask: askHere,
        borrowed: () => borrowed(true),
      })
      const { answer, ageMs } = await answered.catch((error: unknown) => {
        throw translated(error)
      })
      if (ageMs <= oldestMs) return { answer, ageMs }
      // The other node has another bound than was asked for: its answer may be too old for those that wait.
      if (answer !== 'unchanged') await answer[Symbol.asyncIterator]().return?.()
      return { answer: await askHere(), ageMs: 0 }
    },
  }
}
