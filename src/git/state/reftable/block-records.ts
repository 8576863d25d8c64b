import { DamagedTable } from './damaged-table.js'

/** Bytes of a name: no longer one fits into a pkt-line, so no listing can show it. */
const nameMax = 65_000
/** Bytes of block type and block length. */
export const blockHeaderBytes = 4
/** Number of restarts, in the last two bytes of a block. */
const countBytes = 2
/** Bytes of the position of one restart. */
const restartBytes = 3

/**
 * The records of blocks one after the other: their names, of which each continues the one before it. Checks what a block
 * says about itself: names ascend over all blocks, the table of restarts at its end points to records with whole names,
 * and the last record ends where that table begins.
 */
export class BlockRecords {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  /** Where the records end and the table of restarts begins. */
  #end = 0
  #nextRestartAt = 0
  #isFirst = true
  #name: Buffer = Buffer.alloc(256)
  #nameLength = 0

  /** The name of the current record: a view that is valid until the next one is read. */
  get name(): Buffer {
    return this.#name.subarray(0, this.#nameLength)
  }

  /** Bytes of the current block up to the end of what has been read. */
  get offset(): number {
    return this.#at
  }

  /**
   * Begins with a block, whose names follow those of the block before it. @param bytes from block type to the restarts' count
   * @param headerBytes of the file's header, which is the beginning of the first block
   */
  open(bytes: Buffer, headerBytes: number): void {
    const restarts = bytes.readUInt16BE(bytes.length - countBytes)
    this.#bytes = bytes
    this.#at = headerBytes + blockHeaderBytes
    this.#end = bytes.length - countBytes - restarts * restartBytes
    this.#nextRestartAt = this.#end
    this.#isFirst = true
    if (restarts === 0 || this.#end <= this.#at) throw new DamagedTable('a block has no records')
    if (this.#nextRestart() !== this.#at) throw new DamagedTable('a block does not begin with a restart')
  }

  /**
   * Reads the name of the next record. What follows it is read with `varint` and `take`.
   * @returns the record's type, 0 to 7; -1: the block has ended
   * @throws DamagedTable
   */
  next(): number {
    if (this.#at === this.#end) {
      if (this.#nextRestart() >= 0) throw new DamagedTable('a restart is not at the start of a record')
      return -1
    }
    const isRestart = this.#nextRestart() === this.#at
    if (isRestart) this.#nextRestartAt += restartBytes
    const prefix = this.varint()
    const lengthAndType = this.varint()
    const suffix = Math.floor(lengthAndType / 8)
    if (prefix > this.#nameLength || (prefix > 0 && (isRestart || this.#isFirst))) {
      throw new DamagedTable('a name continues one that is not there')
    }
    if (prefix + suffix > nameMax) throw new DamagedTable('a name is too long')
    this.#isFirst = false
    this.#readName(prefix, suffix)
    return lengthAndType % 8
  }

  #readName(prefix: number, suffix: number): void {
    const from = this.#at
    this.#skip(suffix)
    const bytes = this.#bytes
    const length = prefix + suffix
    if (length > this.#name.length) this.#grow(length)
    const name = this.#name
    let order = 0
    for (let at = 0; at < suffix; at++) {
      const byte = bytes[from + at]!
      // No ref has control characters or a space in its name (git-check-ref-format(1)); a pkt-line could not show it.
      if (byte <= 0x20 || byte === 0x7f) throw new DamagedTable('a name has bytes that no name can have')
      if (order === 0 && prefix + at < this.#nameLength) order = byte - name[prefix + at]!
      name[prefix + at] = byte
    }
    // Where one is the beginning of the other, the longer one follows.
    if (order < 0 || (order === 0 && length <= this.#nameLength))
      throw new DamagedTable('names are out of order')
    this.#nameLength = length
  }

  #grow(length: number): void {
    const larger = Buffer.alloc(Math.max(length, 2 * this.#name.length))
    this.#name.copy(larger, 0, 0, this.#nameLength)
    this.#name = larger
  }

  /** Position of the next restart; -1: there are no more. */
  #nextRestart(): number {
    const at = this.#nextRestartAt
    const bytes = this.#bytes
    if (at >= bytes.length - countBytes) return -1
    return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
  }

  /** Reads a number as pack files write offsets: seven bits per byte, each longer one begins where the shorter ones end. */
  varint(): number {
    let value = 0
    for (let isFirst = true; ; isFirst = false) {
      if (this.#at >= this.#end) throw new DamagedTable('a record goes on behind its block')
      const byte = this.#bytes[this.#at++]!
      value = (isFirst ? 0 : (value + 1) * 128) + (byte & 0x7f)
      if (value > Number.MAX_SAFE_INTEGER) throw new DamagedTable('a number is too large')
      if (byte < 0x80) return value
    }
  }

  /** Reads bytes of the record: a view of the block. */
  take(length: number): Buffer {
    const from = this.#at
    this.#skip(length)
    return this.#bytes.subarray(from, this.#at)
  }

  #skip(length: number): void {
    if (length > this.#end - this.#at) throw new DamagedTable('a record goes on behind its block')
    this.#at += length
  }
}
