import { LRUCache } from 'lru-cache'
import type { WholeAnswer } from '../git/protocol/listing-answer.js'
import type { RefQuery } from '../git/protocol/ls-refs.js'
import type { SharedListing } from '../origin/ref-listings.js'
import { digestOf } from '../streamcache/index.js'
import { questionOf } from './answer-versions.js'

/** Bytes of memory for the questions whose answers were hashed, and what each takes besides its prefixes. */
const memory = { max: 4 * 1024 * 1024, overhead: 500 }

/**
 * SHA-256 digests of the answers to ls-refs commands, each hashed once for a listing and a question: pollers ask the same
 * ones again. LRU, by memory.
 */
export class AnswerDigests {
  /** Numbers of listings, so that no listing is kept in memory because its answers were hashed. */
  readonly #numbers = new WeakMap<SharedListing, number>()
  #count = 0
  readonly #digests = new LRUCache<string, Promise<string>>({
    maxSize: memory.max,
    sizeCalculation: (_, question) => question.length + memory.overhead,
  })

  /**
   * Returns the digest of an answer, in hexadecimal.
   * @param answer what `cutNow` has returned for this query; its parts are taken only if it was not hashed before
   */
  of(listing: SharedListing, query: RefQuery, answer: WholeAnswer): string | Promise<string> {
    const { entry } = listing
    // An answer of as many bytes has all lines of the listing.
    const ofEntry = entry?.size === answer.length ? entry.digest() : undefined
    if (ofEntry !== undefined) return ofEntry
    const question = `${this.#numberOf(listing)} ${questionOf(query)}`
    const known = this.#digests.get(question)
    if (known) return known
    const digest = digestOf(answer.parts)
    this.#digests.set(question, digest)
    return digest
  }

  #numberOf(listing: SharedListing): number {
    const known = this.#numbers.get(listing)
    if (known !== undefined) return known
    this.#numbers.set(listing, ++this.#count)
    return this.#count
  }
}
