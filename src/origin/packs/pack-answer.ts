import type { Reading } from '../../freshness/fresh-cache.js'
import type { Follower } from '../../streamcache/index.js'

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
