import type { Entry, FillResult, Producer } from '../streamcache/index.js'
import type { ObservedState } from './observed-state.js'

/** How to observe what a key's bytes depend on, and how to make these bytes. */
export interface FillRequest {
  /** Makes an observation that begins after the call. @throws if there is nothing to observe, or another subject */
  observe(): Promise<ObservedState>
  /** Returns what makes the bytes in the state that was observed. */
  producer(state: ObservedState): Producer
  /** Called when a fill for this request starts, with the state and a promise of the fill's end. Must not throw. */
  fillStarted?(entry: Entry, state: ObservedState, ended: Promise<FillResult>): void
}

/** Does the caller hold a committed entry's content in memory, so that the entry need not be loaded? */
export type IsInMemory = (entry: Entry) => boolean

/** A FillRequest together with the caller's test for entries that need not be loaded. */
export type PendingFillRequest = FillRequest & { readonly isInMemory: IsInMemory | undefined }
