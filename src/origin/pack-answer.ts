import type { Reading } from '../freshness/fresh-cache.js'
import type { UnsharedReason } from '../git/protocol/fetch-request.js'
import type { Follower } from '../streamcache/index.js'

/** The client of a fetch. */
export interface PackClient {
  /** Was its GET admitted? Then its fill is queued where others are shed. */
  readonly admitted: boolean
  /** Called with each follower that reads for it, to be closed when the client leaves. */
  attached(follower: Follower): void
  /** @throws if the client has left */
  throwIfAborted(): void
}

/** An answer whose first bytes are there; null: it is empty. The caller closes the follower. */
export interface PackAnswer extends Reading {
  readonly first: Buffer | null
}

/**
 * Why a fetch passes through, the `reason` label. `size`: the request is too long; `hook`: a pack-objects hook is
 * configured; `format`: another object format than the repository's; `unsettled`: the state cannot be named now; `off`.
 */
export type PassedReason = UnsharedReason | 'size' | 'hook' | 'format' | 'unsettled' | 'off'
