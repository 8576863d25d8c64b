import { search } from './binary-search.js'
import type { Lines } from './block.js'

/** Lines by their numbers in a listing. */
export interface LineRange {
  readonly start: number
  /** One behind the last. */
  readonly end: number
}

/** The blocks of one version of a listing, and where they stand in it. None is empty; the last one may still grow. */
export class Spine<Block extends Lines = Lines> {
  readonly #blocks: Block[] = []
  /** Number of each block's first line in the listing. */
  readonly #firstLines: number[] = []
  /** Bytes of the listing before each block. */
  readonly #offsets: number[] = []
  /** From a line's start to its ref's name: four digits, object id, space; 0: not known yet. The ids of a listing have one length. */
  nameAt: number

  constructor(blocks: readonly Block[] = [], nameAt = 0) {
    this.nameAt = nameAt
    // Each version of a listing has a spine, which is all that it takes besides what changed: no calls per block.
    let [line, offset] = [0, 0]
    for (const block of blocks) {
      this.#blocks.push(block)
      this.#firstLines.push(line)
      this.#offsets.push(offset)
      line += block.count
      offset += block.lines[block.count] as number
    }
  }

  get blocks(): readonly Block[] {
    return this.#blocks
  }

  /** Number of lines. */
  get count(): number {
    const last = this.#blocks.at(-1)
    return last ? (this.#firstLines.at(-1) as number) + last.count : 0
  }

  /** Bytes of all lines. */
  get length(): number {
    const last = this.#blocks.at(-1)
    return last ? (this.#offsets.at(-1) as number) + (last.lines[last.count] as number) : 0
  }

  push(block: Block): void {
    this.#firstLines.push(this.count)
    this.#offsets.push(this.length)
    this.#blocks.push(block)
  }

  /** Puts another block with the same lines in the place of the last one. */
  replaceLast(block: Block): void {
    this.#blocks[this.#blocks.length - 1] = block
  }

  /** Returns the number of a block's first line. */
  firstLineOf(index: number): number {
    return this.#firstLines[index] as number
  }

  /** Returns the index of the block that has a line; the last one's for all lines behind the end. */
  indexOf(line: number): number {
    return search(1, this.#blocks.length, (index) => (this.#firstLines[index] as number) <= line) - 1
  }

  blockAt(index: number): Block {
    return this.#blocks[index] as Block
  }

  /** Returns the bytes of the listing before a line, which may be one behind the last. */
  offsetOf(line: number): number {
    if (line >= this.count) return this.length
    const index = this.indexOf(line)
    const inBlock = line - (this.#firstLines[index] as number)
    return (this.#offsets[index] as number) + (this.blockAt(index).lines[inBlock] as number)
  }

  /** Returns the range of lines, from number `from` on, whose names begin with a prefix. HEAD's line must be before `from`. */
  range(prefix: Buffer, from: number): LineRange {
    const start = this.#bound(prefix, from, below)
    return { start, end: this.#bound(prefix, start, equal) }
  }

  /** Returns the first line, from number `from` on, whose name is a name or behind it. HEAD's line must be before `from`. */
  lowerBound(name: Buffer, from: number): number {
    return this.#bound(name, from, below)
  }

  /** Searches among the first lines of blocks, then in one block: the first line whose comparison with a prefix does not hold. */
  #bound(prefix: Buffer, from: number, holds: (order: number) => boolean): number {
    if (this.#blocks.length === 0) return from
    const first = this.indexOf(from)
    const after = search(first + 1, this.#blocks.length, (index) => holds(this.#compare(index, 0, prefix)))
    const index = after - 1
    const firstLine = this.#firstLines[index] as number
    const { count } = this.blockAt(index)
    const inBlock = index === first ? from - firstLine : 1
    return firstLine + search(inBlock, count, (line) => holds(this.#compare(index, line, prefix)))
  }

  /** Compares the beginning of a line's name with a prefix. What follows a name sorts before all characters of names. */
  #compare(index: number, line: number, prefix: Buffer): number {
    const { bytes, lines } = this.blockAt(index)
    const name = (lines[line] as number) + this.nameAt
    const end = Math.min(name + prefix.length, lines[line + 1] as number)
    return bytes.compare(prefix, 0, prefix.length, name, end)
  }

  /**
   * Returns a view of lines from number `start` on, which must be before `end`: as far as they stand in one buffer, at most
   * to `end`. The blocks of a listing that was read as a whole stand in few buffers.
   */
  view({ start, end }: LineRange): { readonly bytes: Buffer; readonly end: number } {
    let index = this.indexOf(start)
    const first = this.blockAt(index)
    const { buffer, byteOffset } = first.bytes
    const from = byteOffset + (first.lines[start - this.firstLineOf(index)] as number)
    for (let block = first, { byteOffset: at } = block.bytes; ;) {
      const inBlock = Math.min(end - this.firstLineOf(index), block.count)
      const to = at + (block.lines[inBlock] as number)
      const next = this.firstLineOf(index) + inBlock
      const follower = next < end ? this.#blocks[++index] : undefined
      if (follower?.bytes.buffer !== buffer || follower.bytes.byteOffset !== to)
        return { bytes: Buffer.from(buffer, from, to - from), end: next }
      block = follower
      at = to
    }
  }
}

const below = (order: number): boolean => order < 0
const equal = (order: number): boolean => order === 0
