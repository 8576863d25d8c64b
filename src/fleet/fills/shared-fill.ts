import type { FleetEntry } from '../engine.js'
import type { PeerQuestion } from '../peers/peer.js'
import type { Produce, RevisingProducer } from '../../streamcache/index.js'

/** What a fill makes, as the fleet knows it. */
export interface FleetKey {
  /** The repository, by a name that is the same on all nodes; the engine sees a digest of it. */
  readonly repository: string
  /** The entry's key, the same on all nodes; the engine sees a digest of it. */
  readonly key: string
}

/** A fill that the fleet is to make once. */
export interface SharedFillRequest extends FleetKey {
  /** As in `Claim.state`. */
  readonly state: string | undefined
  /** By which another node can answer. */
  readonly question: PeerQuestion
  /** Does it answer another node? Then it is made here or not at all: it throws PeerRefused if a third node makes it. */
  readonly fromPeer: boolean
  /** Do two runs make the same bytes? Then another run goes on where a broken one has stopped (R7). */
  readonly repeatable: boolean
  /** Is it known here that what has failed in the fleet was in an earlier state? Then that does not count. */
  readonly isRepaired?: boolean
  /** Makes the bytes here. */
  readonly produce: RevisingProducer
  /** Called after the end of bytes that another node has made, with what it said of them. */
  readonly borrowed?: (notes: Readonly<Record<string, unknown>>) => void
}

/** One fill of a key by this node: run here, or followed at the node that runs it. */
export interface SharedFill {
  /** Does another node make the bytes, so far as is known? Other nodes must not wait for such a fill. */
  readonly isBorrowed: boolean
  /**
   * Claims the fill before it begins, where committed entries may be opened by all nodes: resolves with one that stands for
   * the request's state, or with undefined. Never rejects.
   */
  find(): Promise<FleetEntry | undefined>
  /** The producer for the engine of entries; runs claims, peers, takeovers. */
  produce(signal: AbortSignal): AsyncIterable<Produce>
  /** To be called once, when the fill's entry has been committed or not: tells the fleet what came of it. */
  ended(end: SharedFillEnd): void
}

/** How a fill has ended here. Only the first two are of use to other nodes. */
export type SharedFillEnd =
  | { readonly kind: 'entry'; readonly entry: FleetEntry }
  /** @param retryAfterMs until another try may be made; 0: at once */
  | {
      readonly kind: 'failure'
      readonly error: unknown
      readonly attempt: number
      readonly retryAfterMs: number
    }
  | { readonly kind: 'nothing' }

/** A question to an origin that does not tell when its answers change, to be asked once by the fleet at a time. */
export interface SharedQuestion<Answer> extends FleetKey {
  readonly question: PeerQuestion
  readonly fromPeer: boolean
  /** Digest of the bytes that are kept here; undefined: nothing is kept. */
  readonly sha256: string | undefined
  readonly signal: AbortSignal
  /** Asks the origin from here. The lease is held until the answer's body has ended. */
  readonly ask: () => Promise<Answer>
  /** Called as soon as another node is asked. */
  readonly borrowed: () => void
}

/** An answer to a question that was shared, and the milliseconds that it was old when it came from another node; else 0. */
export interface SharedAnswer {
  readonly answer: AsyncIterable<Buffer> | 'unchanged'
  readonly ageMs: number
}

/** Makes each fill once in the fleet, if it can (R1, R7, R11). */
export interface FleetFills {
  share(request: SharedFillRequest): SharedFill
  ask(question: SharedQuestion<AsyncIterable<Buffer> | 'unchanged'>): Promise<SharedAnswer>
  /** Is this node the one where owed refreshes of a key run? Rendezvous hashing over the live members. */
  isPreferred(key: FleetKey): boolean
}
