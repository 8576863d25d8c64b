import { createHash } from 'node:crypto'
import type { RefQuery } from '../../git/protocol/ls-refs.js'
import type { SharedListing } from '../ref-listings.js'

/** All tags, and what annotated ones point to. */
const tags: RefQuery = { peel: true, symrefs: false, unborn: false, prefixes: ['refs/tags/'] }

/**
 * Digests of a listing's tags. Packs for `include-tag` depend on the tags (builtin/pack-objects.c, add_ref_tag), but on no
 * other ref: so a push to a branch leaves their digest as it was. Tags that `transfer.hideRefs` hides are not in it; a
 * pack may contain one or not, which no client that cannot see the ref depends on.
 */
export class TagDigests {
  readonly #known = new WeakMap<SharedListing, Promise<string>>()

  /** @throws the error of the fill that the listing is read from */
  of(listing: SharedListing): Promise<string> {
    const known = this.#known.get(listing)
    if (known) return known
    const digest = digestOf(listing)
    this.#known.set(listing, digest)
    return digest
  }
}

async function digestOf(listing: SharedListing): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of listing.cut(tags)) hash.update(part)
  return hash.digest('base64url')
}
