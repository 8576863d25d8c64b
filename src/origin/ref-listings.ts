import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { RefQuery } from '../git/protocol/ls-refs.js'
import { RefListing } from '../git/protocol/ref-listing.js'
import { listingOf } from './listing-ropes.js'
import { cutListing, cutWhole, prefixesPerYield, type WholeAnswer } from '../git/protocol/listing-answer.js'
import { inTurns, Signal, type Entry } from '../streamcache/index.js'

/** Bytes of views that are yielded in one iteration of the event loop. */
const viewsPerTurn = 1024 * 1024

/** An entry's ref listing, read into memory once for all requests. */
export class SharedListing {
  #listing = new RefListing()
  readonly #grew = new Signal()
  #entry: Entry | undefined
  #error: unknown
  /** Has all been read, and did the fill succeed? */
  #complete = false

  get bytes(): number {
    return this.#listing.bytes
  }

  get complete(): boolean {
    return this.#complete
  }

  /** What it is read from. */
  get entry(): Entry | undefined {
    return this.#entry
  }

  /** Resolves when all has been read. @throws the fill's error */
  async end(): Promise<void> {
    while (!this.#complete && this.#error === undefined) await this.#grew.wait()
    if (this.#error !== undefined) throw this.#error
  }

  /** The listing, once all has been read. */
  get whole(): RefListing | undefined {
    return this.#complete ? this.#listing : undefined
  }

  /** Reads an entry to its end, as it grows. Never rejects; an error is thrown by cut(). */
  async read(entry: Entry): Promise<void> {
    this.#entry = entry
    try {
      for await (const chunk of inTurns(entry.follow())) {
        // A rope is whole with its first byte.
        const known = this.#listing.count === 0 ? entry.rope && listingOf(entry.rope) : undefined
        if (known) {
          this.#listing = known
          break
        }
        this.#listing.append(chunk)
        this.#grew.notify()
      }
      if (!this.#listing.complete) throw new Error('git upload-pack: the ref listing has no end')
      this.#complete = true
    } catch (error) {
      this.#error = error
    }
    this.#grew.notify()
  }

  /** Returns the answer to a request, if all its parts are views of the whole listing; else undefined, see cut(). */
  cutNow(request: RefQuery): WholeAnswer | undefined {
    const isPlain = request.peel && request.symrefs && request.prefixes.length < prefixesPerYield
    return this.complete && isPlain ? cutWhole(this.#listing, request) : undefined
  }

  /**
   * Yields the parts of an answer, each when it is asked for, as soon as its lines have been read: a client that stops
   * reading holds one part.
   * @throws the fill's error
   */
  async *cut(request: RefQuery): AsyncGenerator<Buffer> {
    // Until then it may be replaced by one that is whole.
    while (this.#listing.count === 0 && !this.#complete && this.#error === undefined) await this.#grew.wait()
    const areViews = request.peel && request.symrefs
    let yielded = 0
    for (const part of cutListing(this.#listing, request)) {
      if (part) {
        if (part.length > 0) yield part
        yielded += part.length
        // Other requests come before the next part if this one was made line by line, or is the last of many.
        if (areViews && part.length > 0 && yielded < viewsPerTurn) continue
        yielded = 0
        await yieldToEventLoop()
      } else if (this.#error === undefined) await this.#grew.wait()
      if (this.#error !== undefined) throw this.#error
    }
  }
}

/** Bytes of memory that an entry and its listing take, however short they are. Measured: 3.7 KB. */
const overhead = 4096

const sizeOf = ({ bytes }: SharedListing): number => bytes + overhead

interface Oversize {
  readonly entry: Entry
  readonly listing: SharedListing
}

/** The ref listings in memory, by the entries that they were read from. LRU, by memory. */
export class RefListings {
  readonly #listings: LRUCache<Entry, SharedListing>
  /** Listings that are still being read: shared whatever their size will be. */
  readonly #reading = new Map<Entry, SharedListing>()
  /** The last listing that is larger than the limit: kept, because it would be read again for each request. */
  #oversize: Oversize | undefined
  readonly #maxBytes: number

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#listings = new LRUCache({
      maxSize: Math.max(1, maxBytes),
      sizeCalculation: sizeOf,
      dispose: (_, entry) => entry.hold(false),
    })
  }

  /** Bytes of memory that whole listings use. */
  get bytes(): number {
    return this.#listings.calculatedSize + (this.#oversize?.listing.bytes ?? 0)
  }

  /** Returns whether an entry's listing is in memory, so that the entry need not be loaded. */
  holds(entry: Entry): boolean {
    return this.find(entry) !== undefined
  }

  /** Drops the listing of an entry that another one has superseded: the two share most of their memory. */
  forget(entry: Entry): void {
    this.#listings.delete(entry)
    if (this.#oversize?.entry === entry) this.#keepOversize(undefined)
  }

  /** Returns the listing of an entry, if it is in memory or being read. */
  find(entry: Entry): SharedListing | undefined {
    const oversize = this.#oversize?.entry === entry ? this.#oversize.listing : undefined
    return this.#listings.get(entry) ?? this.#reading.get(entry) ?? oversize
  }

  /** Returns the listing of an entry, which is read now if it is not in memory. */
  of(entry: Entry): SharedListing {
    const known = this.find(entry)
    if (known) return known
    const listing = new SharedListing()
    this.#reading.set(entry, listing)
    void listing.read(entry).then(() => {
      this.#reading.delete(entry)
      if (listing.complete) this.#keep(entry, listing)
      entry.cool()
    })
    return listing
  }

  #keep(entry: Entry, listing: SharedListing): void {
    // The listing of an entry with a rope is that rope: it counts here, as long as it is here.
    if (entry.rope && listingOf(entry.rope) === listing.whole) entry.hold(true)
    if (sizeOf(listing) <= this.#maxBytes) this.#listings.set(entry, listing)
    else this.#keepOversize({ entry, listing })
  }

  #keepOversize(oversize: Oversize | undefined): void {
    this.#oversize?.entry.hold(false)
    this.#oversize = oversize
  }
}
