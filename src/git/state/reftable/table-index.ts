import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { BlockRecords } from './block-records.js'
import { DamagedTable } from './damaged-table.js'
import { nextBlockAt, readBlock, type Block } from './table-blocks.js'
import type { TableFile } from './table-file.js'
import type { TableLayout } from './table-layout.js'

/** Bytes of entries between two yields to the event loop: about a millisecond. */
const bytesPerYield = 64 * 1024

/** The last ref block of a table, and the last name in it. */
export interface LastBlock {
  readonly at: number
  readonly name: Buffer
}

/**
 * Follows the last entry of each level of the index of ref blocks down to a ref block: the table's last one, or else some
 * of its blocks were not recognised. @throws DamagedTable; the system's error; the signal's reason
 */
export async function lastIndexed(
  file: TableFile,
  layout: TableLayout,
  signal?: AbortSignal,
): Promise<LastBlock> {
  let { at, name } = await lastEntry(file, layout, signal)
  // A level lies before the one above it, so this ends.
  for (let above = layout.refIndexAt; ;) {
    signal?.throwIfAborted()
    if (at >= above) throw new DamagedTable('an entry of the index points to a place behind it')
    const block = await readBlock(file, layout, at, above)
    if (block.type === 'r') return { at, name }
    const entry = await lastOfBlock(block, signal)
    if (!entry.name.equals(name))
      throw new DamagedTable('an entry of the index has another name than its block')
    above = at
    ;({ at, name } = entry)
  }
}

/** Returns the last entry of the topmost level: Git writes up to three blocks. */
async function lastEntry(file: TableFile, layout: TableLayout, signal?: AbortSignal): Promise<LastBlock> {
  let last: Block | undefined
  let entry: LastBlock | undefined
  const records = new BlockRecords()
  for (let at = layout.refIndexAt; at < layout.refsEnd;) {
    signal?.throwIfAborted()
    last = await readBlock(file, layout, at, layout.refsEnd)
    entry = await lastOfBlock(last, signal, records)
    at = await nextBlockAt(file, layout, last, layout.refsEnd)
  }
  if (!entry) throw new DamagedTable('its index is empty')
  return entry
}

/** An index of one level may be one block of 16 MiB. */
async function lastOfBlock(
  { type, bytes, headerBytes }: Block,
  signal: AbortSignal | undefined,
  records = new BlockRecords(),
): Promise<LastBlock> {
  if (type !== 'i') throw new DamagedTable('a block of another type is in the index')
  records.open(bytes, headerBytes)
  let at = 0
  let yieldedAt = 0
  for (let type = records.next(); type >= 0; type = records.next()) {
    if (type !== 0) throw new DamagedTable(`an entry of the index has the unknown type ${type}`)
    at = records.varint()
    if (records.offset - yieldedAt < bytesPerYield) continue
    yieldedAt = records.offset
    await yieldToEventLoop()
    signal?.throwIfAborted()
  }
  return { at, name: Buffer.from(records.name) }
}
