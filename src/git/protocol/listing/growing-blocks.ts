import { allocate, blockSize, ListingBlock, shortestLine, type Lines } from './block.js'
import { slabSize } from './slabs.js'
import { Spine } from './spine.js'

/** A block whose lines are still coming. */
class GrowingBlock implements Lines {
  readonly bytes: Buffer
  /** Never written to again where it was written once: readers go on while the listing grows. */
  readonly lines = new Uint32Array(Math.ceil(blockSize / shortestLine) + 2)
  count = 0
  #copied = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get length(): number {
    return this.lines[this.count] as number
  }

  hasRoom(size: number): boolean {
    return this.length + size <= this.bytes.length
  }

  /** Adds a line whose bytes are copied later, with those around it. */
  add(size: number): void {
    const end = this.length + size
    this.lines[++this.count] = end
  }

  /** Copies the bytes of the lines that were added. */
  copy(data: Buffer, start: number, end: number): void {
    this.#copied += data.copy(this.bytes, this.#copied, start, end)
  }

  seal(): ListingBlock {
    return new ListingBlock(this.bytes.subarray(0, this.length), this.lines.slice(0, this.count + 1))
  }
}

/** The blocks of a listing that is being read. */
export class GrowingBlocks {
  readonly spine = new Spine()
  /** Appending never copies more than one slab at once, so that it never takes long. */
  #slab: Buffer = Buffer.alloc(0)
  /** Bytes of the slab that blocks have. */
  #used = 0
  #last: GrowingBlock | undefined
  /** Index of the first block in the slab. */
  #firstInSlab = 0
  /** What lines are added from, and where those begin that were not copied yet. */
  #data: Buffer = Buffer.alloc(0)
  #from = 0

  /** Tells which bytes the next lines are added from. */
  begin(data: Buffer): void {
    this.#data = data
    this.#from = 0
  }

  /** Adds the line at an offset. Its bytes are copied later, with those around it. */
  add(at: number, size: number): void {
    if (this.#last?.hasRoom(size) !== true) {
      this.flush(at)
      this.#next()
    }
    this.#last!.add(size)
    if (this.spine.nameAt === 0) this.spine.nameAt = nameOffset(this.#data, at)
  }

  /** Copies the bytes of all lines that were added. @param end where the last one ends */
  flush(end: number): void {
    this.#last?.copy(this.#data, this.#from, end)
    this.#from = end
  }

  /** Begins a block. */
  #next(): void {
    this.#seal()
    if (this.#slab.length - this.#used < blockSize) {
      this.#slab = allocate(slabSize)
      this.#used = 0
      this.#firstInSlab = this.spine.blocks.length
    }
    this.#last = new GrowingBlock(this.#slab.subarray(this.#used, this.#used + blockSize))
    this.spine.push(this.#last)
  }

  #seal(): void {
    if (!this.#last) return
    const block = this.#last.seal()
    this.#used += block.bytes.length
    this.spine.replaceLast(block)
    this.#last = undefined
  }

  /**
   * Returns the blocks of the whole listing. The last slab is cut to its content, in other memory, since readers may still
   * hold a view of all of it.
   * @param headFirst is the first line HEAD's? It gets a block of its own, unless all is one block: it often changes alone.
   */
  finish(headFirst: boolean): Spine<ListingBlock> {
    this.#seal()
    const blocks = this.spine.blocks.filter((block) => block instanceof ListingBlock)
    const all = blocks.slice(0, this.#firstInSlab)
    const bytes = allocate(this.#used)
    this.#slab.copy(bytes, 0, 0, this.#used)
    let at = 0
    for (const { bytes: old, lines } of blocks.slice(this.#firstInSlab)) {
      all.push(new ListingBlock(bytes.subarray(at, at + old.length), lines))
      at += old.length
    }
    if (headFirst && all.length > 1) all.splice(0, 1, ...cutHead(all[0]!))
    return new Spine(all, this.spine.nameAt)
  }
}

/** Returns a block with the first line, and one with all others if there are some. */
function cutHead(block: ListingBlock): ListingBlock[] {
  if (block.count === 1) return [block]
  const { bytes, lines } = block
  const end = lines[1] as number
  return [
    new ListingBlock(bytes.subarray(0, end), lines.slice(0, 2)),
    new ListingBlock(
      bytes.subarray(end),
      lines.slice(1).map((offset) => offset - end),
    ),
  ]
}

/** Returns the distance from a line's start to its ref's name; 0: the line is that of an unborn HEAD. */
function nameOffset(data: Buffer, at: number): number {
  return data.toString('latin1', at + 4, at + 11) === 'unborn ' ? 0 : data.indexOf(space, at + 4) + 1 - at
}

const space = 0x20
