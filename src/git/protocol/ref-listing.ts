import type { RefQuery } from './ls-refs.js'
import { flushPacket, packetLength } from './pkt-line.js'
import { withoutAttributes, type Kept } from './ref-line-cut.js'

const space = 0x20

/** Bytes per segment. Appending never copies more than that at once, so that it never takes long. */
const segmentSize = 1024 * 1024

/** A stretch of a listing: whole lines only. */
interface Segment {
  readonly bytes: Buffer
  /** Bytes of the listing before it. */
  readonly offset: number
  /** Number of its first line in the listing. */
  readonly firstLine: number
  /** Offsets in `bytes` of its lines, and of the end of the last. */
  readonly lines: Uint32Array
  /** Lines in it. */
  count: number
}

/** No line is shorter: digits, an object id of SHA-1, a space, a name of one byte, a newline. */
const shortestLine = 4 + 40 + 1 + 1 + 1

function newSegment(offset: number, firstLine: number, atLeast: number): Segment {
  const size = Math.max(segmentSize, atLeast)
  // A resizable buffer is left out by fork(2), see streamcache/memory/allocate.ts.
  const bytes = Buffer.from(new ArrayBuffer(size, { maxByteLength: size }), 0, size)
  const lines = new Uint32Array(Math.ceil(bytes.length / shortestLine) + 2)
  return { bytes, offset, firstLine, lines, count: 0 }
}

/**
 * The complete answer to an ls-refs command, while it grows and afterwards, from which every other answer is cut. Git
 * sorts refs by name (ls-refs.c: HEAD first, then in the order of the ref store), so a prefix is a range of lines:
 *
 *   segment   003d<oid> HEAD symref-target:…\n 003f<oid> refs/heads/main\n …
 *   lines     ▲                                 ▲                             (offsets, 4 bytes each)
 *
 * Ranges are found by binary search and handed out as views of the segments.
 */
export class RefListing {
  readonly #segments: Segment[] = []
  #count = 0
  /** Of all lines, in bytes. */
  #length = 0
  #bytes = 0
  /** A packet that the end of a chunk has cut. */
  #cut = Buffer.alloc(0)
  /** From a line's start to its ref's name: four digits, object id, space. */
  #nameAt = 0
  #complete = false

  /** Has the closing flush packet been seen? */
  get complete(): boolean {
    return this.#complete
  }

  /** Lines seen so far. */
  get count(): number {
    return this.#count
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return this.#bytes
  }

  /** Adds what Git said next. @throws if it is not an answer to ls-refs */
  append(chunk: Buffer): void {
    const data = this.#cut.length > 0 ? Buffer.concat([this.#cut, chunk]) : chunk
    let at = 0
    while (data.length >= at + 4 && !this.#complete) {
      const size = packetLength(data, at)
      if (size === 0) this.#complete = true
      else if (!(size > 4)) throw new Error('git upload-pack: its ref listing is malformed')
      else if (at + size > data.length) break
      else this.#addLine(data, at, size)
      at += size || 4
    }
    // A copy, so that it does not keep all of the chunk.
    this.#cut = Buffer.from(data.subarray(at))
    if (!this.#complete) return
    if (this.#cut.length > 0) throw new Error('git upload-pack: its ref listing goes on after its end')
    this.#seal()
  }

  #addLine(data: Buffer, at: number, size: number): void {
    let segment = this.#segments.at(-1)
    if (!segment || (segment.lines[segment.count] as number) + size > segment.bytes.length) {
      this.#seal()
      segment = newSegment(this.#length, this.#count, size)
      this.#segments.push(segment)
      this.#bytes += segment.bytes.length + segment.lines.byteLength
    }
    const start = segment.lines[segment.count] as number
    data.copy(segment.bytes, start, at, at + size)
    segment.lines[++segment.count] = start + size
    this.#count++
    this.#length += size
    // All object ids of a repository have one length; `unborn` stands in for one on HEAD's line only.
    if (this.#nameAt === 0 && data.toString('latin1', at + 4, at + 11) !== 'unborn ') {
      this.#nameAt = data.indexOf(space, at + 4) + 1 - at
    }
  }

  /** Cuts the last segment to what is in it. */
  #seal(): void {
    const last = this.#segments.pop()
    if (!last) return
    const { offset, firstLine, count } = last
    const bytes = Buffer.from(last.bytes.subarray(0, last.lines[count]))
    const lines = last.lines.slice(0, count + 1)
    this.#segments.push({ bytes, offset, firstLine, lines, count })
    this.#bytes += bytes.length + lines.byteLength - last.bytes.length - last.lines.byteLength
  }

  /**
   * The lines from number `from` on that a prefix takes, as far as the listing has grown. `done`: no later line can be
   * among them.
   */
  range(prefix: Buffer, from: number): { start: number; end: number; done: boolean } {
    const start = search(from, this.#count, (line) => this.#compare(line, prefix) < 0)
    const end = search(start, this.#count, (line) => this.#compare(line, prefix) === 0)
    return { start, end, done: end < this.#count || this.#complete }
  }

  /** Compares the beginning of a line's name with a prefix. What follows a name sorts before all that names hold. */
  #compare(line: number, prefix: Buffer): number {
    const { bytes, firstLine, lines } = this.#segmentOf(line)
    const name = (lines[line - firstLine] as number) + this.#nameAt
    const end = Math.min(name + prefix.length, lines[line - firstLine + 1] as number)
    return bytes.compare(prefix, 0, prefix.length, name, end)
  }

  #segmentOf(line: number): Segment {
    const after = search(
      0,
      this.#segments.length,
      (index) => (this.#segments[index] as Segment).firstLine <= line,
    )
    return this.#segments[after - 1] as Segment
  }

  /** Is the first line HEAD's? undefined: there is no line yet. */
  get headFirst(): boolean | undefined {
    const [first] = this.#segments
    if (!first) return this.#complete ? false : undefined
    const name = this.startsUnborn ? 11 : this.#nameAt
    return first.bytes.toString('latin1', name, name + 4) === 'HEAD'
  }

  /** Is its first line that of a HEAD whose branch is not born? */
  get startsUnborn(): boolean {
    return this.#segments[0]?.bytes.toString('latin1', 4, 11) === 'unborn '
  }

  /** Bytes of these lines with all that is known of them. */
  size({ start, end }: LineRange): number {
    return this.#offsetOf(end) - this.#offsetOf(start)
  }

  /** Bytes of the listing before a line, which may be one behind the last. */
  #offsetOf(line: number): number {
    if (line >= this.#count) return this.#length
    const { offset, firstLine, lines } = this.#segmentOf(line)
    return offset + (lines[line - firstLine] as number)
  }

  /**
   * Lines as Git would send them for this request. Where it asks for all that is known they are views, of a segment
   * each; where attributes must be left out, views of what has none of them, and copies of at most `copyMax` bytes.
   * Nothing is made before it is asked for: a client that has stopped reading holds one part.
   */
  *encode({ start, end }: LineRange, request: Kept): Generator<Buffer> {
    const whole = request.peel && request.symrefs
    while (start < end) {
      const { firstLine, count, bytes, lines } = this.#segmentOf(start)
      const from = start - firstLine
      // A HEAD that is not born has no attribute but the one without which it is not shown.
      const asIs = whole || (start === 0 && this.startsUnborn)
      const to = Math.min((asIs && !whole ? 1 : end) - firstLine, count)
      if (asIs) yield bytes.subarray(lines[from], lines[to])
      else yield* withoutAttributes({ bytes, lines, nameAt: this.#nameAt }, from, to, request)
      start = firstLine + to
    }
  }
}

/** Lines by their numbers in a listing. */
export interface LineRange {
  readonly start: number
  /** One behind the last. */
  readonly end: number
}

/** The first number from `low` up to `high` for which a condition that holds for the first ones does not hold. */
function search(low: number, high: number, holds: (index: number) => boolean): number {
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(middle)) low = middle + 1
    else high = middle
  }
  return low
}

/** Prefixes that are looked up without a pause: some milliseconds in a large listing. */
export const prefixesAtOnce = 512

const nothing = Buffer.alloc(0)

/**
 * Finds the lines that a request asks for, in order. Where a line that is needed may still come, `undefined` comes
 * instead, and the caller waits for the listing to grow before it goes on. After some prefixes comes an empty range, so
 * that others can have their turn.
 */
function* findLines(listing: RefListing, request: RefQuery): Generator<LineRange | undefined> {
  while (listing.headFirst === undefined) yield undefined
  const first = listing.headFirst ? 1 : 0
  const prefixes = disjoint(request.prefixes)
  const showsHead = !listing.startsUnborn || (request.unborn && request.symrefs)
  if (first === 1 && showsHead && prefixes.some((prefix) => 'HEAD'.startsWith(prefix)))
    yield { start: 0, end: 1 }
  let at = first
  let sought = 0
  for (const prefix of prefixes) {
    if (++sought % prefixesAtOnce === 0) yield { start: at, end: at }
    const bytes = Buffer.from(prefix, 'latin1')
    for (let done = false; !done;) {
      const range = listing.range(bytes, at)
      if (range.start < range.end) yield { start: range.start, end: range.end }
      done = range.done
      // The listing may have grown, even to its end, while what there was went out: look again before waiting.
      if (!done && range.end === at) yield undefined
      at = range.end
    }
  }
}

/**
 * Cuts the answer to a request from a listing. Parts come as soon as their lines are there; where a line that is
 * needed may still come, `undefined` comes instead, and the caller waits for the listing to grow before it goes on.
 * The last part is the closing flush packet.
 */
export function* cutListing(listing: RefListing, request: RefQuery): Generator<Buffer | undefined> {
  for (const range of findLines(listing, request)) {
    if (!range) yield undefined
    else if (range.start === range.end) yield nothing
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
 * The same for a complete listing and a request for all that is known of its refs. What it holds until its parts have
 * been taken is two numbers for each prefix.
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

/** Sorted, none beginning with another; no prefix at all means every ref. */
function disjoint(prefixes: readonly string[]): string[] {
  if (prefixes.length === 0) return ['']
  const kept: string[] = []
  // No name of a ref holds a space or a control character (git-check-ref-format(1)), so such a prefix takes none.
  for (const prefix of [...prefixes].filter((each) => !/[\0-\x20\x7f]/.test(each)).sort()) {
    const last = kept.at(-1)
    if (last === undefined || !prefix.startsWith(last)) kept.push(prefix)
  }
  return kept
}
