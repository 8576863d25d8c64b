import type { RefQuery } from './ls-refs.js'
import { flushPacket } from './pkt-line.js'
import type { LineRange, RefListing } from './ref-listing.js'

/** Prefixes that are looked up without a yield: some milliseconds in a large listing. */
export const prefixesPerYield = 512

const emptyPart = Buffer.alloc(0)

/**
 * Yields the lines that a request asks for, in order. Where the next line may still be appended, it yields `undefined`,
 * and the caller waits for the listing to grow before it goes on. After every `prefixesPerYield` prefixes it yields an
 * empty range, at which the caller can let other work run.
 */
function* findLines(listing: RefListing, request: RefQuery): Generator<LineRange | undefined> {
  while (listing.headFirst === undefined) yield undefined
  const first = listing.headFirst ? 1 : 0
  const prefixes = canonicalPrefixes(request.prefixes)
  const showsHead = !listing.startsUnborn || (request.unborn && request.symrefs)
  if (first === 1 && showsHead && prefixes.some((prefix) => 'HEAD'.startsWith(prefix)))
    yield { start: 0, end: 1 }
  let at = first
  let sought = 0
  for (const prefix of prefixes) {
    if (++sought % prefixesPerYield === 0) yield { start: at, end: at }
    const bytes = Buffer.from(prefix, 'latin1')
    for (let done = false; !done;) {
      const range = listing.range(bytes, at)
      if (range.start < range.end) yield { start: range.start, end: range.end }
      done = range.done
      // The listing may have grown, even to its end, while the caller sent the range: search again before waiting.
      if (!done && range.end === at) yield undefined
      at = range.end
    }
  }
}

/**
 * Cuts the answer to a request from a listing. Yields parts as soon as their lines are there; where a line may still be
 * appended, it yields `undefined`, and the caller waits for the listing to grow before it goes on. The last part is the
 * closing flush packet.
 */
export function* cutListing(listing: RefListing, request: RefQuery): Generator<Buffer | undefined> {
  for (const range of findLines(listing, request)) {
    if (!range) yield undefined
    else if (range.start === range.end) yield emptyPart
    else yield* listing.encode(range, request)
  }
  yield flushPacket
}

/** An answer whose length in bytes is known before its parts are cut. */
export interface WholeAnswer {
  readonly length: number
  readonly parts: Iterable<Buffer>
}

/**
 * The same for a complete listing and a request for all attributes. Until its parts have been taken it holds two numbers
 * per prefix.
 * @throws if the listing is not complete
 */
export function cutWhole(listing: RefListing, request: RefQuery): WholeAnswer {
  const ranges: LineRange[] = []
  let length = flushPacket.length
  for (const range of findLines(listing, request)) {
    if (!range) throw new Error('the listing is not complete')
    length += listing.size(range)
    ranges.push(range)
  }
  return { length, parts: partsOf(listing, ranges) }
}

function* partsOf(listing: RefListing, ranges: readonly LineRange[]): Generator<Buffer> {
  for (const range of ranges) yield* listing.encode(range, { peel: true, symrefs: true })
  yield flushPacket
}

/** Returns the prefixes sorted and without those that begin with another one; no prefix at all means every ref. */
export function canonicalPrefixes(prefixes: readonly string[]): string[] {
  if (prefixes.length === 0) return ['']
  const kept: string[] = []
  // No name of a ref has a space or a control character (git-check-ref-format(1)), so such a prefix matches none.
  for (const prefix of [...prefixes].filter((each) => !/[\0-\x20\x7f]/.test(each)).sort()) {
    const last = kept.at(-1)
    if (last === undefined || !prefix.startsWith(last)) kept.push(prefix)
  }
  return kept
}
