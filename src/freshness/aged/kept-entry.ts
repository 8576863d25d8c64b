import type { Entry, Follower, StreamCache } from '../../streamcache/index.js'
import type { IsInMemory } from '../fill-request.js'

/** An entry that a round may confirm. Its follower keeps the bytes readable, even if the entry is evicted meanwhile. */
export interface Kept {
  readonly entry: Entry
  readonly follower: Follower
}

/** Returns the committed entry of a key, loaded; undefined: there is none that can be read. */
export async function keep(
  cache: StreamCache,
  key: string,
  isInMemory: IsInMemory | undefined,
): Promise<Kept | undefined> {
  // What an earlier process left may be confirmed.
  const { listing } = cache
  if (listing) await listing
  const entry = cache.get(key)
  if (!entry) return undefined
  const follower = entry.follow()
  if (isInMemory?.(entry) || (await entry.load())) return { entry, follower }
  follower.close()
  cache.discard(entry)
  return undefined
}
