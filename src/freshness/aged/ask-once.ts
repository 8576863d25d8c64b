import { PeerRefused } from '../../fleet/peers/peer.js'
import type { Entry } from '../../streamcache/index.js'
import type { AgedAnswer, AgedRequest } from './aged-request.js'
import type { Round } from './round.js'

/**
 * Has a round's question answered, by the origin or by another node of the fleet.
 * @param oldestMs most milliseconds that the answer of another node may be old
 * @returns undefined: it was the question of other nodes only, and a third one is asking it; the round has settled
 * @throws what `AgedRequest.ask` throws
 */
export async function askOnce(
  round: Round,
  request: AgedRequest,
  kept: Entry | undefined,
  oldestMs: number,
): Promise<AgedAnswer | undefined> {
  const borrowed = (isBorrowed: boolean): void => {
    round.borrowed = isBorrowed
    if (isBorrowed) round.refusePeers(new PeerRefused('elsewhere'))
  }
  for (let asking = request; ;) {
    try {
      const answer = await asking.ask(kept, round.signal, round.cause, { oldestMs, borrowed })
      return typeof answer === 'object' && 'answer' in answer ? answer : { answer, ageMs: 0 }
    } catch (error) {
      if (!asking.isForPeer || !(error instanceof PeerRefused)) throw error
      round.refusePeers(error)
      // The origin was not asked. A client may have joined meanwhile: its request may be answered by a third node.
      const next = round.request
      if (next) asking = next
      else {
        round.settle(() => {
          throw error
        })
        return undefined
      }
    }
  }
}
