import { blockHeaderBytes } from './block-records.js'
import { DamagedTable } from './damaged-table.js'
import type { TableFile } from './table-file.js'
import type { TableLayout } from './table-layout.js'

/** One block of a table. */
export interface Block {
  readonly type: string
  /** Its position in the file. */
  readonly at: number
  /** From its type, or from the file's header if it is the first, to the count of its restarts: valid until the next read. */
  readonly bytes: Buffer
  /** Bytes of the file's header at its start. */
  readonly headerBytes: number
  /** Position behind it. */
  readonly end: number
}

/** A record, one restart and their count; what is shorter is no block. */
const shortestContent = 4 + 3 + 2
/** Bytes of padding that are compared at once. */
const paddingStep = 64 * 1024

/** Reads a block. @param before position before which it must end @throws DamagedTable; the system's error */
export async function readBlock(
  file: TableFile,
  layout: TableLayout,
  at: number,
  before: number,
): Promise<Block> {
  const headerBytes = at === 0 ? layout.headerBytes : 0
  if (at + headerBytes + blockHeaderBytes > before) throw new DamagedTable('a block is cut')
  const head = await file.read(at, headerBytes + blockHeaderBytes)
  const type = String.fromCharCode(head[headerBytes]!)
  const length = head.readUIntBE(headerBytes + 1, 3)
  if (length < headerBytes + blockHeaderBytes + shortestContent || length > before - at) {
    throw new DamagedTable(`a block cannot have ${length} bytes`)
  }
  // The blocks of an index may be larger than the others.
  if (type === 'r' && layout.blockSize > 0 && length > layout.blockSize) {
    throw new DamagedTable(`a block of ${length} bytes is larger than the table's block size`)
  }
  return { type, at, bytes: await file.read(at, length), headerBytes, end: at + length }
}

/**
 * Returns where the next block begins: directly behind this one, or behind zeros up to a multiple of the block size.
 * @param before position at which the section ends @throws DamagedTable if something else is between them
 */
export async function nextBlockAt(
  file: TableFile,
  { blockSize }: TableLayout,
  { at, end }: Pick<Block, 'at' | 'end'>,
  before: number,
): Promise<number> {
  if (end >= before || (await file.read(end, 1))[0] !== 0) return end
  const size = end - at
  const next = at + (blockSize > 0 ? Math.ceil(size / blockSize) * blockSize : size)
  if (next > before || next === end) throw new DamagedTable('zeros between blocks are not padding')
  for (let from = end; from < next; from += paddingStep) {
    const padding = await file.read(from, Math.min(paddingStep, next - from))
    if (padding.some((byte) => byte !== 0)) throw new DamagedTable('padding is not zeros')
  }
  return next
}
