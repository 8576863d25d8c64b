import type { RefListing } from '../git/protocol/ref-listing.js'
import { Rope } from '../streamcache/index.js'

const ropes = new WeakMap<RefListing, Rope>()
const listings = new WeakMap<Rope, RefListing>()

/** Returns the bytes of a complete listing: always the same rope for one listing. */
export function ropeOf(listing: RefListing): Rope {
  const known = ropes.get(listing)
  if (known) return known
  const rope = new Rope(listing.chunks)
  ropes.set(listing, rope)
  listings.set(rope, listing)
  return rope
}

/** Returns the listing that a rope is the bytes of; undefined: it was made in another way. */
export const listingOf = (rope: Rope): RefListing | undefined => listings.get(rope)
