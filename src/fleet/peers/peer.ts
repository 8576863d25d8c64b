import type { Follower } from '../../streamcache/index.js'

/**
 * A question that a node asks another one about an entry: what the fleet's user needs to answer it, as JSON. The fleet does not
 * look into it.
 */
export type PeerQuestion = Readonly<Record<string, unknown>>

/** Asks other nodes for entries. */
export interface Peers {
  /**
   * Asks a node; its work on the question begins after this call.
   * @param sha256 of the bytes that the caller has: `unchanged` is returned if they are the answer
   * @param signal ends the question, and the reading of its answer
   * @throws PeerRefused, PeerUnreachable, PeerSilent, or what the node's fault means (`FaultCodec`)
   */
  ask(
    node: string,
    question: PeerQuestion,
    options: { readonly sha256?: string | undefined; readonly signal: AbortSignal },
  ): Promise<PeerAnswer>

  /**
   * Tells every other member something, and resolves when all of them have heard it (`PeerAnswerer.hear`).
   * @throws PeerUnreachable, PeerSilent if one of them may not have heard it
   */
  tell(message: PeerQuestion): Promise<void>
}

export interface PeerAnswer {
  /** `unchanged`, or the bytes from the first on. They throw as `Peers.ask` does; their end means that all were whole. */
  readonly body: AsyncIterable<Buffer> | 'unchanged'
  /** Milliseconds that the answer is old, by its node's rules: 0 unless the origin is an upstream with a bound. */
  readonly ageMs: number
  /** After the body's end: what the answering node said of it (`AnsweredEntry.notes`). */
  notes(): Readonly<Record<string, unknown>>
}

/** Answers the questions of other nodes; implemented by the fleet's user. */
export interface PeerAnswerer {
  /**
   * Answers by the rules for a client's request that arrives now, from an entry or by a fill made here, never by asking a
   * third node. @throws PeerRefused, or any error, which the codec makes known to the asking node
   */
  answer(question: PeerQuestion, signal: AbortSignal): Promise<AnsweredEntry>

  /** Takes note of what another node tells; in force when it returns. */
  hear(message: PeerQuestion): void
}

export interface AnsweredEntry {
  /** At byte 0; closed by the peers' server. */
  readonly follower: Follower
  /** Resolves with the SHA-256 of the entry's bytes once it is known, without waiting for its fill; undefined: not known yet. */
  readonly sha256: string | undefined
  readonly ageMs: number
  /** Asked for after the follower's end: told to the asking node with the end of the bytes. */
  notes?(): Readonly<Record<string, unknown>>
}

/** Translates errors to what other nodes are told, and back. */
export interface FaultCodec {
  encode(error: unknown): PeerFault
  /** Returns an error that has the same consequences here as it had there. */
  decode(fault: PeerFault): Error
}

/** A failure as another node is told of it. */
export interface PeerFault {
  readonly code: string
  readonly message: string
  readonly details?: Readonly<Record<string, unknown>>
}

/** The asked node will not answer: it does not make the entry, or has other repositories. The caller claims anew. */
export class PeerRefused extends Error {
  override readonly name = 'PeerRefused'
  /** `elsewhere`: the entry is made by a third node; `different`: the node means another repository by this name. */
  readonly why: 'elsewhere' | 'different'

  constructor(why: 'elsewhere' | 'different', message: string = why) {
    super(message)
    this.why = why
  }
}

/** The node is not there: its socket refuses, resets, or has closed before the end. Its lease may be taken at once. */
export class PeerUnreachable extends Error {
  override readonly name = 'PeerUnreachable'
  /** Has it said that it is about to end? Then what it was making is not to blame. */
  readonly isLeaving: boolean

  constructor(
    message?: string,
    { isLeaving = false, ...options }: ErrorOptions & { isLeaving?: boolean } = {},
  ) {
    super(message, options)
    this.isLeaving = isLeaving
  }
}

/** The node has sent no sign of life for some time. Its lease may be taken when its time limit has passed. */
export class PeerSilent extends Error {
  override readonly name = 'PeerSilent'
}
