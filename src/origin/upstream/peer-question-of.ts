import { PeerRefused } from '../../fleet/peers/peer.js'
import type { UpstreamQuestion } from '../peers/peer-question.js'
import { addressOf, type UpstreamRepository } from './upstream.js'

/** How other nodes of a fleet are asked about a repository in the name of its client. */
export interface PeerAsker {
  /** Tells whether the repository and its view are the same on two nodes. */
  readonly identity: string
  readonly ask: (asked: UpstreamQuestion['asked'], maxAgeMs: number) => UpstreamQuestion
}

export function peerQuestionOf(repository: UpstreamRepository): PeerAsker {
  const { view, client, credentials, name: path } = repository
  const { authorization, cookie } = credentials
  const address = addressOf(repository)
  return {
    identity: identityOf(address, view, client),
    ask: (asked, maxAgeMs) => ({
      ...{ origin: 'upstream', path, repository: address, view, client, maxAgeMs, asked },
      credentials: {
        ...(authorization === undefined ? {} : { authorization }),
        ...(cookie === undefined ? {} : { cookie }),
      },
    }),
  }
}

/** Returns the identity that the node means that asks. */
export const askedIdentity = ({ repository, view, client }: UpstreamQuestion): string =>
  identityOf(repository, view, client)

const identityOf = (...parts: readonly string[]): string => JSON.stringify(parts)

/** @throws PeerRefused if a question means another repository, or another client, than the same names here (R8) */
export function requireSame(repository: UpstreamRepository, question: UpstreamQuestion): void {
  const { view, client } = repository
  if (identityOf(addressOf(repository), view, client) !== askedIdentity(question))
    throw new PeerRefused(
      'different',
      'the upstream or the view of its client is another one here: nodes must have the same settings and the same fleet secret',
    )
}
