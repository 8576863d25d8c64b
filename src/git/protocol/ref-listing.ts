import { packetLength } from './pkt-line.js'
import { withoutAttributes, type KeptAttributes } from './ref-line-cut.js'

const space = 0x20

/** Bytes per segment. Appending never copies more than that at once, so that it never takes long. */
const segmentSize = 1024 * 1024

/** A part of a listing: whole lines only. */
interface Segment {
  readonly bytes: Buffer
  /** Bytes of the listing before it. */
  readonly offset: number
  /** Number of its first line in the listing. */
  readonly firstLine: number
  /** Offsets in `bytes` of its lines, and of the end of the last. */
  readonly lines: Uint32Array
  /** Number of lines in it. */
  count: number
}

/** No line is shorter: digits, an object id of SHA-1, a space, a name of one byte, a newline. */
const shortestLine = 4 + 40 + 1 + 1 + 1

function newSegment(offset: number, firstLine: number, atLeast: number): Segment {
  const size = Math.max(segmentSize, atLeast)
  // fork(2) leaves out a resizable buffer, see streamcache/memory/allocate.ts.
  const bytes = Buffer.from(new ArrayBuffer(size, { maxByteLength: size }), 0, size)
  const lines = new Uint32Array(Math.ceil(bytes.length / shortestLine) + 2)
  return { bytes, offset, firstLine, lines, count: 0 }
}

/**
 * The complete answer to an ls-refs command, growing or complete, from which every other answer is cut. Git sorts refs by
 * name (ls-refs.c: HEAD first, then in the order of the ref store), so a prefix is a range of lines:
 *
 *   segment   003d<oid> HEAD symref-target:…\n 003f<oid> refs/heads/main\n …
 *   lines     ▲                                 ▲                             (offsets, 4 bytes each)
 *
 * Ranges are found by binary search and returned as views of the segments.
 */
export class RefListing {
  readonly #segments: Segment[] = []
  #count = 0
  /** Bytes of all lines. */
  #length = 0
  #bytes = 0
  /** The beginning of a packet that the end of a chunk has cut. */
  #cut = Buffer.alloc(0)
  /** From a line's start to its ref's name: four digits, object id, space. */
  #nameAt = 0
  #complete = false

  /** Has the closing flush packet been appended? */
  get complete(): boolean {
    return this.#complete
  }

  /** Number of lines so far. */
  get count(): number {
    return this.#count
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return this.#bytes
  }

  /** Appends the next bytes of Git's output. @throws if they are not an answer to ls-refs */
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
    // All object ids of a repository have one length; only HEAD's line may have `unborn` in place of one.
    if (this.#nameAt === 0 && data.toString('latin1', at + 4, at + 11) !== 'unborn ') {
      this.#nameAt = data.indexOf(space, at + 4) + 1 - at
    }
  }

  /** Shrinks the last segment to its content. */
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
   * Returns the range of lines, from number `from` on, whose names begin with a prefix, as far as the listing has grown.
   * `done`: no later line can be among them.
   */
  range(prefix: Buffer, from: number): { start: number; end: number; done: boolean } {
    const start = search(from, this.#count, (line) => this.#compare(line, prefix) < 0)
    const end = search(start, this.#count, (line) => this.#compare(line, prefix) === 0)
    return { start, end, done: end < this.#count || this.#complete }
  }

  /** Compares the beginning of a line's name with a prefix. What follows a name sorts before all characters of names. */
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

  /** Is the first line that of a HEAD whose branch is unborn? */
  get startsUnborn(): boolean {
    return this.#segments[0]?.bytes.toString('latin1', 4, 11) === 'unborn '
  }

  /** Returns the bytes of these lines with all their attributes. */
  size({ start, end }: LineRange): number {
    return this.#offsetOf(end) - this.#offsetOf(start)
  }

  /** Returns the bytes of the listing before a line, which may be one behind the last. */
  #offsetOf(line: number): number {
    if (line >= this.#count) return this.#length
    const { offset, firstLine, lines } = this.#segmentOf(line)
    return offset + (lines[line - firstLine] as number)
  }

  /**
   * Yields lines as Git would send them for this request. With all attributes these are views, one per segment; where
   * attributes must be left out, views of lines without any, and copies of at most `copyMax` bytes. Each part is made when
   * it is asked for: a client that has stopped reading holds one part.
   */
  *encode({ start, end }: LineRange, request: KeptAttributes): Generator<Buffer> {
    const whole = request.peel && request.symrefs
    while (start < end) {
      const { firstLine, count, bytes, lines } = this.#segmentOf(start)
      const from = start - firstLine
      // The line of an unborn HEAD has one attribute, without which it is not shown.
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

/** Binary search: returns the first number from `low` up to `high` for which a condition stops to hold. */
function search(low: number, high: number, holds: (index: number) => boolean): number {
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(middle)) low = middle + 1
    else high = middle
  }
  return low
}
