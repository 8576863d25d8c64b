import { memoryOf, type ListingBlock, type Symref } from './listing/block.js'
import { GrowingBlocks } from './listing/growing-blocks.js'
import { Spine, type LineRange } from './listing/spine.js'
import { splice } from './listing/splice.js'
import { inTurns, type Steps } from './listing/steps.js'
import { flushPacket, packetLength } from './pkt-line.js'
import { parseRef, type Ref } from './ref-line.js'
import { withoutAttributes, type KeptAttributes } from './ref-line-cut.js'

export type { LineRange } from './listing/spine.js'

/**
 * The complete answer to an ls-refs command, growing or complete, from which every other answer is cut. Git sorts refs by
 * name (ls-refs.c: HEAD first, then in the order of the ref store), so a prefix is a range of lines:
 *
 *   spine   block 0                        block 1                            …
 *   bytes   003d<oid> HEAD symref-target:…\n 003f<oid> refs/heads/main\n …
 *   lines   ▲                                ▲                                (offsets, 4 bytes each)
 *
 * Ranges are found by binary search and returned as views of the blocks. The blocks of a complete listing never change:
 * `splice` makes its next version, which shares all blocks but those in which a line changes.
 */
export class RefListing {
  #spine: Spine
  /** The same of a complete listing. */
  #whole: Spine<ListingBlock> | undefined
  /** undefined: it is complete. */
  #growing: GrowingBlocks | undefined
  /** The beginning of a packet that the end of a chunk has cut. */
  #cut = Buffer.alloc(0)
  #chunks: readonly Buffer[] | undefined
  /** Bytes of memory of a complete listing. */
  #memory: number | undefined

  /** @param blocks of a complete listing; left out: all lines will be appended */
  constructor(blocks?: Spine<ListingBlock>) {
    this.#whole = blocks
    this.#growing = blocks ? undefined : new GrowingBlocks()
    this.#spine = blocks ?? this.#growing!.spine
  }

  /** Has the closing flush packet been appended? */
  get complete(): boolean {
    return this.#growing === undefined
  }

  /** Number of lines so far. */
  get count(): number {
    return this.#spine.count
  }

  /** Bytes of memory in use, those that other versions use too included. */
  get bytes(): number {
    if (!this.#whole) return memoryOf(this.#spine.blocks)
    return (this.#memory ??= memoryOf(this.#whole.blocks))
  }

  /** Appends the next bytes of Git's output. @throws if they are not an answer to ls-refs */
  append(chunk: Buffer): void {
    const data = this.#cut.length > 0 ? Buffer.concat([this.#cut, chunk]) : chunk
    const at = this.#growing ? this.#addLines(this.#growing, data) : 0
    // A copy, so that it does not keep all of the chunk.
    this.#cut = Buffer.from(data.subarray(at))
    if (this.complete && this.#cut.length > 0)
      throw new Error('git upload-pack: its ref listing goes on after its end')
  }

  /** Adds all whole lines. @returns the offset behind them, and behind the flush packet */
  #addLines(growing: GrowingBlocks, data: Buffer): number {
    let at = 0
    growing.begin(data)
    try {
      while (data.length >= at + 4) {
        const size = packetLength(data, at)
        if (size === 0) {
          this.#finish(growing, at)
          return at + 4
        }
        if (!(size > 4)) throw new Error('git upload-pack: its ref listing is malformed')
        if (at + size > data.length) break
        growing.add(at, size)
        at += size
      }
      return at
    } finally {
      // Readers see the lines before a malformed one.
      growing.flush(at)
    }
  }

  #finish(growing: GrowingBlocks, at: number): void {
    growing.flush(at)
    this.#spine = this.#whole = growing.finish(this.headFirst === true)
    this.#growing = undefined
  }

  /**
   * All bytes with the closing flush packet. The same Buffers in every version in which they are the same.
   * @throws if the listing is not complete
   */
  get chunks(): readonly Buffer[] {
    return (this.#chunks ??= [...this.blocks.map(({ bytes }) => bytes), flushPacket])
  }

  /** Its parts, shared between versions. @throws if the listing is not complete */
  get blocks(): readonly ListingBlock[] {
    return this.#requireWhole().blocks
  }

  #requireWhole(): Spine<ListingBlock> {
    if (!this.#whole) throw new Error('the listing is not complete')
    return this.#whole
  }

  /** From a line's start to its ref's name, but in that of an unborn HEAD; 0: there is no other line. */
  get nameAt(): number {
    return this.#spine.nameAt
  }

  /**
   * Resolves with the listing in which every range of names that begin with a prefix has the lines of an answer instead; itself, if
   * nothing differs. A splice that changes many blocks does not block the event loop.
   * @param prefixes canonical: sorted, and none begins with another one; bytes as Latin-1
   * @param answer a whole answer to ls-refs with peel, symrefs and unborn for these prefixes, with its flush packet
   * @throws if the answer is malformed, has a name outside of these ranges, or is not in order, and if the listing is not complete
   */
  splice(prefixes: readonly string[], answer: Buffer): Promise<RefListing> {
    return inTurns(this.#splice(prefixes, answer))
  }

  *#splice(prefixes: readonly string[], answer: Buffer): Steps<RefListing> {
    const spine = this.#requireWhole()
    const spliced = yield* splice(spine, this.headFirst === true, prefixes, answer)
    return spliced === spine ? this : new RefListing(spliced)
  }

  /** Returns the ref with this name; undefined: it is not in the listing. */
  find(name: Buffer): Ref | undefined {
    if (this.headFirst && name.equals(headName)) return this.#refAt(0)
    const line = this.#lowerBound(name)
    const ref = line < this.count ? this.#refAt(line) : undefined
    return ref?.name.equals(name) ? ref : undefined
  }

  /** Returns all symbolic refs in it, HEAD too, and where they point in the end. @throws if the listing is not complete */
  symrefs(): readonly Symref[] {
    const found: Symref[] = []
    // Few blocks have any.
    for (const { symrefs } of this.blocks) if (symrefs.length > 0) found.push(...symrefs)
    return found
  }

  #lowerBound(name: Buffer): number {
    return this.#spine.lowerBound(name, this.headFirst ? 1 : 0)
  }

  #refAt(line: number): Ref {
    const index = this.#spine.indexOf(line)
    const { bytes, lines } = this.#spine.blockAt(index)
    const inBlock = line - this.#spine.firstLineOf(index)
    return parseRef(bytes, lines[inBlock] as number, lines[inBlock + 1] as number)
  }

  /**
   * Returns the range of lines, from number `from` on, whose names begin with a prefix, as far as the listing has grown.
   * `done`: no later line can be among them.
   */
  range(prefix: Buffer, from: number): { start: number; end: number; done: boolean } {
    const { start, end } = this.#spine.range(prefix, from)
    return { start, end, done: end < this.count || this.complete }
  }

  /** Is the first line HEAD's? undefined: there is no line yet. */
  get headFirst(): boolean | undefined {
    const [first] = this.#spine.blocks
    if (!first) return this.complete ? false : undefined
    const name = this.startsUnborn ? 11 : this.#spine.nameAt
    return first.bytes.toString('latin1', name, name + 4) === 'HEAD'
  }

  /** Is the first line that of a HEAD whose branch is unborn? */
  get startsUnborn(): boolean {
    return this.#spine.blocks[0]?.bytes.toString('latin1', 4, 11) === 'unborn '
  }

  /** Returns the bytes of these lines with all their attributes. */
  size({ start, end }: LineRange): number {
    return this.#spine.offsetOf(end) - this.#spine.offsetOf(start)
  }

  /**
   * Yields lines as Git would send them for this request. With all attributes these are views, as few as there are buffers;
   * where attributes must be left out, views of lines without any, and copies of at most `copyMax` bytes. Each part is made
   * when it is asked for: a client that has stopped reading holds one part.
   */
  *encode({ start, end }: LineRange, request: KeptAttributes): Generator<Buffer> {
    const whole = request.peel && request.symrefs
    while (start < end) {
      // The line of an unborn HEAD has one attribute, without which it is not shown.
      if (whole || (start === 0 && this.startsUnborn)) {
        const view = this.#spine.view({ start, end: whole ? end : 1 })
        yield view.bytes
        start = view.end
        continue
      }
      const index = this.#spine.indexOf(start)
      const { bytes, lines, count } = this.#spine.blockAt(index)
      const firstLine = this.#spine.firstLineOf(index)
      const to = Math.min(end - firstLine, count)
      yield* withoutAttributes({ bytes, lines, nameAt: this.nameAt }, start - firstLine, to, request)
      start = firstLine + to
    }
  }
}

const headName = Buffer.from('HEAD')
