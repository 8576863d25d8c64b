import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { blockHeaderBytes } from './block-records.js'
import { DamagedTable } from './damaged-table.js'
import { RefRecords, type RefRecord } from './ref-records.js'
import { nextBlockAt, readBlock } from './table-blocks.js'
import type { TableFile } from './table-file.js'
import { lastIndexed } from './table-index.js'
import { readLayout, type TableLayout } from './table-layout.js'

/** Records and bytes between two yields to the event loop: less than a millisecond. */
const recordsPerYield = 500
const bytesPerYield = 128 * 1024

/**
 * Calls a function with each ref record of a table, in the order of names, until it returns false. What was found counts only
 * if no error is thrown in the end: the table may be damaged further down.
 * @returns what the table's header and footer say
 * @throws DamagedTable; the system's error; the signal's reason
 */
export async function scanRefs(
  file: TableFile,
  visit: (record: RefRecord) => boolean,
  signal?: AbortSignal,
): Promise<TableLayout> {
  const layout = await readLayout(file)
  const first = await firstType(file, layout)
  if (first !== 'r') {
    await checkWithoutRefs(file, layout, first)
    return layout
  }
  const records = new RefRecords(layout)
  const end = layout.refIndexAt || layout.refsEnd
  let blockAt = 0
  for (let at = 0, count = 0; at < end;) {
    signal?.throwIfAborted()
    const block = await readBlock(file, layout, at, end)
    // Below its topmost level the index may have others, directly behind the ref blocks.
    if (block.type === 'i' && layout.refIndexAt > 0) break
    if (block.type !== 'r') throw new DamagedTable('a block of another type is among the ref blocks')
    records.open(block.bytes, block.headerBytes)
    for (let yieldedAt = 0; records.next();) {
      if (!visit(records)) return layout
      if (++count % recordsPerYield !== 0 && records.offset - yieldedAt < bytesPerYield) continue
      yieldedAt = records.offset
      await yieldToEventLoop()
      signal?.throwIfAborted()
    }
    blockAt = at
    at = await nextBlockAt(file, layout, block, end)
  }
  if (layout.refIndexAt > 0) {
    const last = await lastIndexed(file, layout, signal)
    if (last.at !== blockAt || !last.name.equals(records.name)) {
      throw new DamagedTable('its index knows another last ref')
    }
  }
  return layout
}

/** Returns the type of the first block; undefined: there are no blocks. */
async function firstType(
  file: TableFile,
  { headerBytes, refsEnd, logsAt }: TableLayout,
): Promise<string | undefined> {
  if (refsEnd === headerBytes && logsAt === 0) return undefined
  return String.fromCharCode((await file.read(headerBytes, 1))[0]!)
}

/**
 * Checks that a table without ref blocks is empty or has log blocks only. The footer cannot tell a table of logs from one of
 * refs, but log blocks are compressed: their content begins as RFC 1950 says, and that of ref blocks with a zero.
 */
async function checkWithoutRefs(
  file: TableFile,
  { headerBytes, refIndexAt, hasObjects, logsAt }: TableLayout,
  first: string | undefined,
): Promise<void> {
  if (refIndexAt > 0 || hasObjects) throw new DamagedTable('it has an index, but no refs')
  if (first === undefined) return
  const content = (await file.read(headerBytes + blockHeaderBytes, 2)).readUInt16BE(0)
  const isDeflated = (content >> 8) % 16 === 8 && content % 31 === 0
  if (first !== 'g' || !isDeflated || (logsAt > 0 && logsAt !== headerBytes)) {
    throw new DamagedTable('its first block is not known')
  }
}
