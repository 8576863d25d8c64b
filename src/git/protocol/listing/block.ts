import { parseRef } from '../ref-line.js'
import { search } from './binary-search.js'

/** Bytes of a block. No pkt-line is longer. */
export const blockSize = 64 * 1024

/** No line is shorter: digits, an object id of SHA-1, a space, a name of one byte, a newline. */
export const shortestLine = 4 + 40 + 1 + 1 + 1

/** Lines of a listing, one after another: whole pkt-lines. */
export interface Lines {
  readonly bytes: Buffer
  /** Offsets in `bytes` of the lines, and of the end of the last. */
  readonly lines: Uint32Array
  /** Number of lines. */
  readonly count: number
}

/** A symbolic ref of a listing; views of its block. */
export interface Symref {
  readonly name: Buffer
  /** Where it points in the end. */
  readonly target: Buffer
}

const symrefMark = Buffer.from(' symref-target:')
const peeledMark = Buffer.from(' peeled:')

/** A part of a listing that never changes, so that all versions of the listing in which it is the same share it. */
export class ListingBlock implements Lines {
  readonly bytes: Buffer
  readonly lines: Uint32Array
  readonly count: number
  readonly symrefs: readonly Symref[]
  /** Has any line an attribute? */
  readonly hasAttributes: boolean

  /** @param lines as `Lines` says; one more than there are lines */
  constructor(bytes: Buffer, lines: Uint32Array) {
    this.bytes = bytes
    this.lines = lines
    this.count = lines.length - 1
    this.symrefs = symrefsOf(bytes, lines)
    this.hasAttributes = this.symrefs.length > 0 || bytes.includes(peeledMark)
  }
}

/** A search for the mark, since such lines are rare: no name has a space (git-check-ref-format(1)). */
function symrefsOf(bytes: Buffer, lines: Uint32Array): readonly Symref[] {
  let at = bytes.indexOf(symrefMark)
  if (at < 0) return none
  const found: Symref[] = []
  while (at >= 0) {
    const line = search(0, lines.length, (index) => (lines[index] as number) <= at) - 1
    const end = lines[line + 1] as number
    const { name, symrefTarget } = parseRef(bytes, lines[line] as number, end)
    if (symrefTarget) found.push({ name, target: symrefTarget })
    at = bytes.indexOf(symrefMark, end)
  }
  return found
}

const none: readonly Symref[] = []

/**
 * Allocates memory for lines; its content is arbitrary. fork(2) leaves out a resizable buffer, see
 * streamcache/memory/allocate.ts; a mapping of its own is too much for a short one.
 */
export function allocate(length: number): Buffer {
  if (length < blockSize / 2) return Buffer.allocUnsafeSlow(length)
  return Buffer.from(new ArrayBuffer(length, { maxByteLength: length }), 0, length)
}

/** Returns the bytes of memory that blocks take, with those of others in the same buffers. */
export function memoryOf(blocks: readonly Lines[]): number {
  const buffers = new Set<ArrayBufferLike>()
  let last: ArrayBufferLike | undefined
  let bytes = 0
  for (const block of blocks) {
    bytes += block.lines.byteLength
    const { buffer } = block.bytes
    // Neighbours mostly stand in one buffer.
    if (buffer === last || buffers.has(buffer)) continue
    last = buffer
    buffers.add(buffer)
    bytes += buffer.byteLength
  }
  return bytes
}
