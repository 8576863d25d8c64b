import { packetLength, pktLine } from '../pkt-line.js'
import { parseRef } from '../ref-line.js'
import type { ListingBlock } from './block.js'
import { Slabs } from './slabs.js'

const peeledMark = Buffer.from(' peeled:')
const symrefMark = Buffer.from(' symref-target:')

/** Lines that were derived, by the number of the block's line they begin with. They live as long as something uses them. */
const known = new WeakMap<ListingBlock, Map<number, WeakRef<Buffer>>>()

/**
 * Returns the lines that an advertisement of protocol v0 or v1 has for a block, from a line of it on (upload-pack.c,
 * write_v0_ref): the ref without its attributes, and one more for what an annotated tag points to in the end. The same Buffer each
 * time; that of the block, if they are the same bytes.
 * @param from behind the line of an unborn HEAD, for which there is none
 * @param memory for lines that are made now
 */
export function advertisedLines(block: ListingBlock, from: number, memory: Slabs): Buffer {
  const views = known.get(block) ?? new Map<number, WeakRef<Buffer>>()
  const derived = views.get(from)?.deref() ?? derive(block, from, memory)
  views.set(from, new WeakRef(derived))
  known.set(block, views)
  return derived
}

/** Returns memory for the lines of blocks, as far as they are to be made. */
export function memoryForLines(blocks: readonly ListingBlock[]): Slabs {
  const isMade = (block: ListingBlock): boolean =>
    !block.hasAttributes || known.get(block)?.get(0)?.deref() !== undefined
  return new Slabs(blocks.reduce((count, block) => count + (isMade(block) ? 0 : 1), 0))
}

function derive(block: ListingBlock, from: number, memory: Slabs): Buffer {
  const { bytes, lines, count } = block
  if (!block.hasAttributes) return from === 0 ? bytes : bytes.subarray(lines[from])
  const texts = new AdvertisedText(2 * bytes.length)
  if (block.symrefs.length > 0) {
    for (let line = from; line < count; line++)
      texts.add(bytes, lines[line] as number, lines[line + 1] as number)
  } else addPeeled(texts, block, from)
  return texts.end(memory)
}

/** Adds lines whose only attributes are peeled objects: there may be very many, and what is between them is copied at once. */
function addPeeled(texts: AdvertisedText, { bytes, lines, count }: ListingBlock, from: number): void {
  let at = lines[from] as number
  for (let line = from; ;) {
    const mark = bytes.indexOf(peeledMark, at)
    if (mark < 0) break
    while ((lines[line + 1] as number) <= mark) line++
    const end = lines[line + 1] as number
    texts.addPeeled(bytes, at, { start: lines[line] as number, mark, end })
    at = end
  }
  texts.addPlain(bytes, at, lines[count] as number)
}

/** Returns the lines for one line of a block, which is not that of an unborn HEAD. */
export function advertisedLine({ bytes, lines }: ListingBlock, line: number): Buffer {
  const [start, end] = [lines[line] as number, lines[line + 1] as number]
  const texts = new AdvertisedText(2 * (end - start))
  texts.add(bytes, start, end)
  return texts.end(new Slabs(1))
}

/**
 * Returns where the attributes of a line begin; -1: it has none. A space is not enough to tell: Git lists a file whose name has
 * one as a broken ref.
 */
function attributesAt(bytes: Buffer, nameAt: number, end: number): number {
  const rest = bytes.subarray(nameAt, end)
  const found = [symrefMark, peeledMark].map((mark) => rest.indexOf(mark)).filter((at) => at >= 0)
  return found.length > 0 ? nameAt + Math.min(...found) : -1
}

/** Collects lines. */
class AdvertisedText {
  readonly #bytes: Buffer
  #used = 0

  /** @param size twice that of the lines that will be added: a line with a peeled object becomes two shorter ones */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size)
  }

  add(bytes: Buffer, start: number, end: number): void {
    const nameAt = bytes.indexOf(space, start) + 1
    const nameEnd = attributesAt(bytes, nameAt, end)
    if (nameEnd < 0) {
      this.#used += bytes.copy(this.#bytes, this.#used, start, end)
      return
    }
    const { peeled } = parseRef(bytes, start, end)
    this.#line(bytes.toString('latin1', start + 4, nameAt - 1), bytes, nameAt, nameEnd, '\n')
    if (peeled !== undefined) this.#line(peeled, bytes, nameAt, nameEnd, '^{}\n')
  }

  /** Adds lines without attributes. */
  addPlain(bytes: Buffer, start: number, end: number): void {
    if (start < end) this.#used += bytes.copy(this.#bytes, this.#used, start, end)
  }

  /** Adds lines from an offset on, of which the last one has a peeled object as its attribute. */
  addPeeled(bytes: Buffer, from: number, { start, mark, end }: PeeledLine): void {
    const first = this.#used + start - from
    this.addPlain(bytes, from, mark)
    this.#bytes[this.#used++] = newline
    this.#writeLength(first)
    const second = this.#used
    // The same line with the other id, which is as long.
    this.addPlain(bytes, start, mark)
    bytes.copy(this.#bytes, second + 4, mark + peeledMark.length, end - 1)
    for (const byte of peeledEnding) this.#bytes[this.#used++] = byte
    this.#writeLength(second)
  }

  /** Writes the digits of a line that ends here. */
  #writeLength(start: number): void {
    const length = this.#used - start
    for (let index = 0; index < 4; index++)
      this.#bytes[start + index] = digits[(length >> (12 - 4 * index)) & 15] as number
  }

  #line(id: string, bytes: Buffer, nameAt: number, nameEnd: number, ending: string): void {
    const size = 4 + id.length + 1 + (nameEnd - nameAt) + ending.length
    this.#text(`${size.toString(16).padStart(4, '0')}${id} `)
    this.#used += bytes.copy(this.#bytes, this.#used, nameAt, nameEnd)
    this.#text(ending)
  }

  #text(text: string): void {
    this.#used += this.#bytes.write(text, this.#used, 'latin1')
  }

  end(memory: Slabs): Buffer {
    const exact = memory.take(this.#used)
    this.#bytes.copy(exact, 0, 0, this.#used)
    return exact
  }
}

/** Offsets of a line, and of its attribute. */
interface PeeledLine {
  readonly start: number
  readonly mark: number
  readonly end: number
}

const space = 0x20
const peeledEnding = Buffer.from('^{}\n')
const digits = Buffer.from('0123456789abcdef')
const newline = 0x0a

/** Returns lines whose first one also has the capabilities, bytes as Latin-1. */
export function withCapabilities(lines: Buffer, capabilities: string): Buffer {
  // The name of a broken ref may have a newline.
  const end = packetLength(lines, 0)
  const first = pktLine(
    Buffer.concat([lines.subarray(4, end - 1), Buffer.from(`\0${capabilities}\n`, 'latin1')]),
  )
  return Buffer.concat([first, lines.subarray(end)])
}
