import type { Entry, Fill } from '../../streamcache/index.js'
import type { IsInMemory } from '../fill-request.js'
import type { Reading } from '../fresh-cache.js'

/** Why an origin is asked: a client waits, or an owed refresh is due. */
export type AskCause = 'client' | 'refresh'

/** A client's question to an origin that does not tell when its answers change. */
export interface AgedRequest {
  /** Names the question, the repository and the view. */
  readonly key: string
  /** The repository: what leases and invalidations name. Equal keys have equal subjects. */
  readonly subject: string
  /** When the client's request arrived, in milliseconds of the clock; performance.now() unless another is given. */
  readonly arrivedAtMs: number
  /** The bound in milliseconds; 0: exact. */
  readonly maxAgeMs: number
  /** Milliseconds beyond `maxAgeMs` for which the kept entry may answer if asking fails; 0: never. */
  readonly staleMs: number
  /** Aborts when the client leaves: then read() rejects with its reason, and nothing is asked for this client alone. */
  readonly signal?: AbortSignal

  /**
   * Asks the origin; its request begins after the call. May be called without a client, for an owed refresh.
   * @param kept what is kept; undefined: nothing
   * @param signal when it aborts, this call and the reading of its body must reject
   * @returns `unchanged` only if `kept` is what the origin would answer. The end of the body means that it is whole
   * @throws if there is no answer; or rejects, as may the body. PeerRefused: only for a request of another node, which then
   * has not caused a question to the origin
   */
  ask(
    kept: Entry | undefined,
    signal: AbortSignal,
    cause: AskCause,
    elsewhere: AskedElsewhere,
  ): Promise<Answer | AgedAnswer>

  /**
   * After asking has failed: may the kept entry answer, because the origin is away? false: the origin refuses (401, 403,
   * 404), and what is kept must be forgotten. Must not throw.
   */
  mayBeStale(error: unknown): boolean

  /** Called when a fill for this request starts. Must not throw. */
  fillStarted?(fill: Fill): void

  /**
   * Is this request too large to be kept in memory, so that it pays for no refresh? One such request may be kept for each
   * entry, and clients choose how large they are.
   */
  readonly isLarge?: boolean

  /** Is it the request of another node? It never waits for an answer that comes from a third one: PeerRefused. */
  readonly isForPeer?: boolean
  /** Most milliseconds that the answer of another node may be old, at most half of `maxAgeMs`; left out: 0. */
  readonly oldestMs?: number
  /** May an owed refresh run here? Left out: yes. */
  readonly mayRefresh?: () => boolean

  /** As in `FreshCache.read`: an entry of which this is true need not be loaded. */
  readonly isInMemory?: IsInMemory | undefined
}

/** What an origin answers. */
type Answer = AsyncIterable<Buffer> | 'unchanged'

/** An answer that another node of the fleet had. */
export interface AgedAnswer {
  readonly answer: Answer
  /** Milliseconds since the question to the origin began, at the time of the call of ask(); 0: it began after that. */
  readonly ageMs: number
}

/** How a question may be answered by another node of the fleet. */
export interface AskedElsewhere {
  /** Most milliseconds that its answer may be old; 0: the other node must ask after it was asked. */
  readonly oldestMs: number
  /** To be called with true as soon as another node is asked, and with false when the origin is. */
  readonly borrowed: (isBorrowed: boolean) => void
}

export interface AgedReading extends Reading {
  /** Milliseconds since the request to the origin began that made or confirmed the entry. */
  readonly ageMs: number
  /** When that request began, in milliseconds of the clock. */
  readonly atMs: number
  /** Is the entry older than the request's bound? Only if asking has failed. */
  readonly isStale: boolean
}

/** Calls to be counted. */
export interface AgedCacheEvents {
  /** A client has asked: read() was called. */
  clientAsked?(key: string): void
  /** The origin is asked: ask() is called. At most as often as `clientAsked` for the same key. */
  upstreamAsked?(key: string, cause: AskCause): void
  /** A client was answered from an entry older than its bound. */
  servedStale?(key: string): void
}
