import type { Splice } from '../../streamcache/index.js'

/** The instance manipulation (RFC 3229, section 10.1) that refstreams use between them. */
export const manipulation = 'refstream-splice'

/** What a delta begins with: all numbers have four bytes, the highest first. */
export interface DeltaHead {
  /** Bytes of the earlier version. */
  readonly baseLength: number
  /** Bytes of the result. */
  readonly length: number
  /** Number of replacements. */
  readonly count: number
}

/** A replacement without its bytes. */
export interface DeltaRecord {
  readonly start: number
  readonly end: number
  /** Number of the bytes that follow. */
  readonly length: number
}

const magic = Buffer.from('RSS1')
export const headSize = 16
export const recordSize = 12
/** Longer bodies have no delta. */
export const bodyLengthMax = 0xffffffff
/** Bytes of the longest delta: it is held in memory for one client, and of no use if it is not much shorter than what it makes. */
export const deltaLengthMax = 1024 * 1024

/** A delta that is not one, or not one of these bytes. */
export class DamagedDelta extends Error {
  override readonly name = 'DamagedDelta'
}

/** Returns a delta: its head, and each replacement with its bytes. */
export function encodeDelta(
  { baseLength, length }: Pick<DeltaHead, 'baseLength' | 'length'>,
  replacements: readonly Splice[],
): Buffer {
  const parts: Buffer[] = [Buffer.concat([magic, numbers(baseLength, length, replacements.length)])]
  for (const { start, end, bytes } of replacements) {
    const size = bytes.reduce((sum, part) => sum + part.length, 0)
    parts.push(numbers(start, end, size), ...bytes)
  }
  return Buffer.concat(parts)
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4))
  return bytes
}

/** @param bytes `headSize` of them @throws DamagedDelta */
export function decodeHead(bytes: Buffer): DeltaHead {
  if (!bytes.subarray(0, 4).equals(magic)) throw new DamagedDelta('it does not begin as a delta does')
  return {
    baseLength: bytes.readUInt32BE(4),
    length: bytes.readUInt32BE(8),
    count: bytes.readUInt32BE(12),
  }
}

/** @param bytes `recordSize` of them */
export const decodeRecord = (bytes: Buffer): DeltaRecord => ({
  start: bytes.readUInt32BE(0),
  end: bytes.readUInt32BE(4),
  length: bytes.readUInt32BE(8),
})
