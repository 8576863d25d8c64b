/** What is known, at one moment, of the state that an entry's bytes depend on. */
export interface ObservedState {
  /** The state token. Equal tokens of equal generations: nothing changed between the two moments. */
  readonly token: string
  /**
   * 0: settled. Otherwise unsettled: the milliseconds after which the same observation could be trusted; Infinity if
   * that is not known.
   */
  readonly unsettledMs: number
  /** Grows when a lease or an invalidation says that the state has changed, whatever the token says. */
  readonly generation: number
  /** Grows when a change may have begun that may also be taken back: when a lease is opened. */
  readonly openings: number
  /** Names generation and openings, equal on all nodes of a fleet; left out: there is no other node. */
  readonly epoch?: string
  /** Milliseconds after which an entry of this state is no longer fresh, even if no change was observed. */
  readonly maxAgeMs: number
  /** Identifies what was observed, where different things may have the same key. Never part of a comparison of states. */
  readonly subject?: string
  /** What the observation saw, for the producer of an entry. Nothing here looks at it. */
  readonly details?: unknown
}

/**
 * Longest time in milliseconds for which a request waits until the state is settled. Timestamps that are a timer tick too
 * young are covered, those with a granularity of whole seconds are not.
 */
export const settleWaitMaxMs = 25
