import { packetLength } from '../pkt-line.js'
import { allocate, blockSize, ListingBlock, type Lines } from './block.js'

/** Bytes that a block has at most, but for a line; and at least, unless it has no neighbour. */
export const largest = (blockSize * 3) / 2
export const smallest = blockSize / 2

/** Lines of a block from number `from` up to `to`. */
interface Piece {
  readonly source: Lines
  readonly from: number
  readonly to: number
}

/** Collects lines for new blocks, which are made when all are known. */
export class Assembly {
  readonly #pieces: Piece[] = []
  /** Bytes of all lines. */
  size = 0

  add(source: Lines, from = 0, to = source.count): void {
    if (from >= to) return
    this.#pieces.push({ source, from, to })
    this.size += (source.lines[to] as number) - (source.lines[from] as number)
  }

  addAll(other: Assembly): void {
    for (const { source, from, to } of other.#pieces) this.add(source, from, to)
  }

  /** Returns the lines as blocks of about the same size, none of which needs to be split. */
  blocks(): ListingBlock[] {
    const parts = this.size <= largest ? 1 : Math.round(this.size / blockSize)
    const blocks: ListingBlock[] = []
    let lines = new Part()
    let at = 0
    for (const { source, from, to } of this.#pieces) {
      let start = from
      for (let line = from; line < to; line++) {
        const size = (source.lines[line + 1] as number) - (source.lines[line] as number)
        // A cut stands where it is nearest to an equal share.
        const share = (this.size * (blocks.length + 1)) / parts
        if (at + size / 2 > share && blocks.length < parts - 1) {
          lines.add({ source, from: start, to: line })
          if (lines.size > 0) blocks.push(lines.block())
          lines = new Part()
          start = line
        }
        at += size
      }
      lines.add({ source, from: start, to })
    }
    if (lines.size > 0) blocks.push(lines.block())
    return blocks
  }
}

/** The lines of one new block. */
class Part {
  readonly #pieces: Piece[] = []
  size = 0
  #count = 0

  add(piece: Piece): void {
    const { source, from, to } = piece
    if (from >= to) return
    this.#pieces.push(piece)
    this.size += (source.lines[to] as number) - (source.lines[from] as number)
    this.#count += to - from
  }

  block(): ListingBlock {
    const bytes = allocate(this.size)
    const lines = new Uint32Array(this.#count + 1)
    let [at, line] = [0, 0]
    for (const { source, from, to } of this.#pieces) {
      const start = source.lines[from] as number
      source.bytes.copy(bytes, at, start, source.lines[to])
      for (let index = from + 1; index <= to; index++)
        lines[++line] = at + (source.lines[index] as number) - start
      at += (source.lines[to] as number) - start
    }
    return new ListingBlock(bytes, lines)
  }
}

/** Returns the whole lines of an answer between two offsets. */
export function linesIn(answer: Buffer, from: number, to: number): Lines {
  const offsets = [0]
  const bytes = answer.subarray(from, to)
  for (let at = 0; at < bytes.length;) offsets.push((at += packetLength(bytes, at)))
  return { bytes, lines: Uint32Array.from(offsets), count: offsets.length - 1 }
}
