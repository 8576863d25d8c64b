import type { Entry, FillResult, RevisingProducer } from '../streamcache/index.js'
import type { ObservedState } from './observed-state.js'

/** How to observe what a key's bytes depend on, and how to make these bytes. */
export interface FillRequest {
  /** Makes an observation that begins after the call. @throws if there is nothing to observe, or another subject */
  observe(): Promise<ObservedState>
  /** Returns what makes the bytes in the state that was observed. */
  producer(state: ObservedState): RevisingProducer
  /** Called when a fill for this request starts, with the state and a promise of the fill's end. Must not throw. */
  fillStarted?(entry: Entry, state: ObservedState, ended: Promise<FillResult>): void
  /**
   * Called before a fill begins, in a settled state whose entries do not age: has another process made an entry of this state,
   * and is it committed in the cache now? Then it answers. Left out: no other process can have made one.
   */
  readonly find?: (state: ObservedState) => Promise<boolean>
  /**
   * Called before the request waits for a fill that runs, or for the end of one. Throws if it must not wait for it.
   * @returns may it follow that fill? Else it shares the next one
   */
  mayWaitFor?(entry: Entry): boolean
  /**
   * Milliseconds that the bytes may be old at the start of the fill, because another node made them earlier: the most that is
   * possible while the fill runs, and what it was once it has ended. Left out: 0.
   */
  ageMs?(state: ObservedState): number
  /** Is it the request of another node? Its fill is made here or fails, so the request of a client begins a round in its place. */
  readonly isForPeer?: boolean
}

/** Does the caller hold a committed entry's content in memory, so that the entry need not be loaded? */
export type IsInMemory = (entry: Entry) => boolean

/** A FillRequest together with the caller's test for entries that need not be loaded. */
export type PendingFillRequest = FillRequest & { readonly isInMemory: IsInMemory | undefined }
