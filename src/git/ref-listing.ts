import type { LsRefsRequest } from './ls-refs.js'
import { flushPacket } from './pkt-line.js'

const space = 0x20
const newline = 0x0a

/**
 * The complete answer to an ls-refs command, while it grows and afterwards, from which every other answer is cut. Git
 * sorts refs by name (ls-refs.c: HEAD first, then in the order of the ref store), so a prefix is a range of lines:
 *
 *   buffer   003d<oid> HEAD symref-target:…\n 003f<oid> refs/heads/main\n … 0000
 *   lines    ▲                                 ▲                            (offsets, 4 bytes each)
 *
 * Ranges are found by binary search and handed out as views of the buffer.
 */
export class RefListing {
  #buffer = Buffer.alloc(0)
  #length = 0
  #lines = new Uint32Array(1024)
  #count = 0
  /** Offset of the packet that has not been seen whole yet. */
  #next = 0
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
    return this.#buffer.length + this.#lines.byteLength
  }

  /** Adds what Git said next. @throws if it is not an answer to ls-refs */
  append(chunk: Buffer): void {
    this.#reserve(this.#length + chunk.length)
    chunk.copy(this.#buffer, this.#length)
    this.#length += chunk.length
    while (this.#length >= this.#next + 4 && !this.#complete) {
      const size = parseInt(this.#buffer.toString('latin1', this.#next, this.#next + 4), 16)
      if (size === 0) this.#complete = true
      else if (!(size > 4)) throw new Error('git upload-pack: its ref listing is malformed')
      else if (this.#next + size > this.#length) return
      else this.#addLine(size)
    }
    if (!this.#complete) return
    if (this.#length !== this.#next + 4)
      throw new Error('git upload-pack: its ref listing goes on after its end')
    this.#shrink()
  }

  #reserve(length: number): void {
    if (length <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(length, this.#buffer.length * 2, 64 * 1024))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }

  #addLine(size: number): void {
    const start = this.#next
    // All object ids of a repository have one length; `unborn` stands in for one on HEAD's line only.
    if (this.#nameAt === 0 && !this.#isUnborn(start)) {
      this.#nameAt = this.#buffer.indexOf(space, start + 4) + 1 - start
    }
    if (this.#count === this.#lines.length) {
      const larger = new Uint32Array(this.#count * 2)
      larger.set(this.#lines)
      this.#lines = larger
    }
    this.#lines[this.#count++] = start
    this.#next += size
  }

  #isUnborn(start: number): boolean {
    return this.#buffer.toString('latin1', start + 4, start + 11) === 'unborn '
  }

  #shrink(): void {
    const exact = Buffer.allocUnsafeSlow(this.#length)
    this.#buffer.copy(exact, 0, 0, this.#length)
    this.#buffer = exact
    this.#lines = this.#lines.slice(0, this.#count)
  }

  /**
   * The lines from number `from` on that a prefix takes, as far as the listing has grown. `done`: no later line can be
   * among them.
   */
  range(prefix: Buffer, from: number): { start: number; end: number; done: boolean } {
    const start = this.#search(from, (line) => this.#compare(line, prefix) < 0)
    const end = this.#search(start, (line) => this.#compare(line, prefix) === 0)
    return { start, end, done: end < this.#count || this.#complete }
  }

  /** The first line from `low` on for which a condition that holds for the first ones does not hold. */
  #search(low: number, holds: (line: number) => boolean): number {
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (holds(middle)) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Compares the beginning of a line's name with a prefix. What follows a name sorts before all that names hold. */
  #compare(line: number, prefix: Buffer): number {
    const name = this.#start(line) + this.#nameAt
    const end = Math.min(name + prefix.length, this.#start(line + 1))
    return this.#buffer.compare(prefix, 0, prefix.length, name, end)
  }

  #start(line: number): number {
    return line < this.#count ? (this.#lines[line] as number) : this.#next
  }

  /** Is the first line HEAD's? undefined: there is no line yet. */
  get headFirst(): boolean | undefined {
    if (this.#count === 0) return this.#complete ? false : undefined
    const name = this.#isUnborn(0) ? 11 : this.#nameAt
    return this.#buffer.toString('latin1', name, name + 4) === 'HEAD'
  }

  /** Lines as Git would send them for this request: views of the buffer where it says no less than the listing. */
  *encode(
    start: number,
    end: number,
    request: Pick<LsRefsRequest, 'peel' | 'symrefs' | 'unborn'>,
  ): Generator<Buffer> {
    if (start >= end) return
    const { peel, symrefs, unborn } = request
    if (start === 0 && this.#isUnborn(0)) {
      if (unborn && symrefs) yield this.#view(0, 1)
      start = 1
    }
    if (peel && symrefs) {
      if (start < end) yield this.#view(start, end)
      return
    }
    let plain = start
    for (let line = start; line < end; line++) {
      const shorter = this.#withoutAttributes(line, request)
      if (!shorter) continue
      if (plain < line) yield this.#view(plain, line)
      yield shorter
      plain = line + 1
    }
    if (plain < end) yield this.#view(plain, end)
  }

  #view(start: number, end: number): Buffer {
    return this.#buffer.subarray(this.#start(start), this.#start(end))
  }

  /** A line without the attributes that were not asked for; undefined if it has none of these. */
  #withoutAttributes(
    line: number,
    { peel, symrefs }: Pick<LsRefsRequest, 'peel' | 'symrefs'>,
  ): Buffer | undefined {
    const start = this.#start(line)
    const attributes = this.#buffer.indexOf(space, start + this.#nameAt)
    const end = this.#start(line + 1)
    if (attributes < 0 || attributes >= end) return undefined
    const kept = this.#buffer
      .toString('latin1', attributes, end - (this.#buffer[end - 1] === newline ? 1 : 0))
      .split(' ')
      .filter(
        (one) => !(one.startsWith('symref-target:') && !symrefs) && !(one.startsWith('peeled:') && !peel),
      )
    const text = `${this.#buffer.toString('latin1', start + 4, attributes)}${kept.join(' ')}\n`
    return Buffer.from((text.length + 4).toString(16).padStart(4, '0') + text, 'latin1')
  }
}

/**
 * Cuts the answer to a request from a listing. Parts come as soon as their lines are there; where a line that is
 * needed may still come, `undefined` comes instead, and the caller waits for the listing to grow before it goes on.
 * The last part is the closing flush packet.
 */
export function* cutListing(listing: RefListing, request: LsRefsRequest): Generator<Buffer | undefined> {
  while (listing.headFirst === undefined) yield undefined
  const first = listing.headFirst ? 1 : 0
  const prefixes = disjoint(request.prefixes)
  if (first === 1 && prefixes.some((prefix) => 'HEAD'.startsWith(prefix)))
    yield* listing.encode(0, 1, request)
  let at = first
  for (const prefix of prefixes) {
    const bytes = Buffer.from(prefix, 'latin1')
    for (let done = false; !done;) {
      const range = listing.range(bytes, at)
      yield* listing.encode(range.start, range.end, request)
      done = range.done
      // The listing may have grown, even to its end, while what there was went out: look again before waiting.
      if (!done && range.end === at) yield undefined
      at = range.end
    }
  }
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
