import { crc32 } from 'node:zlib'
import { DamagedTable } from './damaged-table.js'
import type { TableFile } from './table-file.js'

/** What the header and the footer of a table say (Documentation/technical/reftable in Git). */
export interface TableLayout {
  /** Bytes of the header, which are also the beginning of the first block. */
  readonly headerBytes: number
  /** Blocks begin at multiples of it, if they are padded at all; 0: blocks are not aligned. */
  readonly blockSize: number
  /** Bytes of an object id. */
  readonly hashBytes: number
  readonly minUpdateIndex: bigint
  readonly maxUpdateIndex: bigint
  /** Where the topmost level of the index of ref blocks begins; 0: there is none. */
  readonly refIndexAt: number
  /** Where ref blocks and their index end at the latest. */
  readonly refsEnd: number
  readonly hasObjects: boolean
  /** Where log blocks begin; 0: there are none, or nothing else is in the table. */
  readonly logsAt: number
}

const magic = 'REFT'
/** Behind the copy of the header: five positions of eight bytes and the checksum. */
const footerOnly = 5 * 8 + 4
const headerBytesOf: Readonly<Record<number, number>> = { 1: 24, 2: 28 }
const hashBytesOf: Readonly<Record<string, number>> = { sha1: 20, s256: 32 }

/** Reads and checks both ends of a table. @throws DamagedTable; the system's error */
export async function readLayout(file: TableFile): Promise<TableLayout> {
  const start = await file.read(0, Math.min(file.size, 28))
  if (start.toString('latin1', 0, 4) !== magic) throw new DamagedTable('does not begin with REFT')
  const version = start[4]!
  const headerBytes = headerBytesOf[version]
  if (headerBytes === undefined) throw new DamagedTable(`format version ${version} is not known`)
  const header = Buffer.from(start.subarray(0, headerBytes))
  const footerAt = file.size - headerBytes - footerOnly
  if (footerAt < headerBytes) throw new DamagedTable(`${file.size} bytes are too few`)
  const footer = await file.read(footerAt, headerBytes + footerOnly)
  if (crc32(footer.subarray(0, -4)) !== footer.readUInt32BE(footer.length - 4)) {
    throw new DamagedTable('the checksum of its footer is wrong')
  }
  if (!footer.subarray(0, headerBytes).equals(header)) throw new DamagedTable('header and footer differ')
  const hashBytes = version === 1 ? 20 : hashBytesOf[header.toString('latin1', 24, 28)]
  if (hashBytes === undefined) throw new DamagedTable('its hash function is not known')
  const minUpdateIndex = header.readBigUInt64BE(8)
  const maxUpdateIndex = header.readBigUInt64BE(16)
  if (maxUpdateIndex < minUpdateIndex) throw new DamagedTable('its update indexes are the wrong way round')
  const numbers = [0, 8, 16, 24, 32].map((at) => footer.readBigUInt64BE(headerBytes + at))
  // The length of abbreviated object ids is in the lowest five bits.
  numbers[1] = numbers[1]! >> 5n
  const positions = numbers.map((position) => checkedPosition(position, footerAt))
  const [refIndexAt, objectsAt, , logsAt] = positions as [number, number, number, number]
  const present = positions.filter((position) => position > 0)
  if (present.some((position, index) => position < headerBytes || position <= (present[index - 1] ?? 0))) {
    throw new DamagedTable('its sections are out of order')
  }
  return {
    headerBytes,
    blockSize: header.readUIntBE(5, 3),
    hashBytes,
    minUpdateIndex,
    maxUpdateIndex,
    refIndexAt,
    refsEnd: objectsAt || logsAt || footerAt,
    hasObjects: objectsAt > 0,
    logsAt,
  }
}

function checkedPosition(position: bigint, footerAt: number): number {
  if (position >= BigInt(footerAt)) throw new DamagedTable('a section begins behind its end')
  return Number(position)
}
