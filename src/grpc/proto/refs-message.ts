import type { Ref } from '../../git/protocol/ref-line.js'

/**
 * An encoded refstream.v1.ListRefsResponse: fields of bytes and text only (protobuf, "Encoding"). It is encoded from Git's
 * own lines: a thousand refs as objects take five times the memory of their message, and each client that has stopped
 * reading would keep them.
 */
export interface RefsMessage {
  readonly encoded: Buffer
}

/** Encodes a RefsMessage for grpc-js. */
export const encodeRefs = ({ encoded }: RefsMessage): Buffer => encoded

/** Field numbers with wire type 2, length-delimited. */
const tags = { refs: 0x0a, name: 0x0a, objectId: 0x12, symrefTarget: 0x1a, peeled: 0x22 }

/** Encodes refs into messages of about the same size, one after the other. */
export class RefsWriter {
  readonly #sizes: { readonly messageSize: number }
  #bytes = Buffer.alloc(0)
  #used = 0
  /** Most bytes of the message that is being written. */
  #max = 0

  /** @param sizes gives the most bytes of a message when it is begun, unless one ref alone takes more */
  constructor(sizes: { readonly messageSize: number }) {
    this.#sizes = sizes
  }

  /** Bytes of the message so far. */
  get length(): number {
    return this.#used
  }

  /** Adds a ref to the message. @returns false: the message is full and must be taken first */
  add(ref: Ref): boolean {
    const inner = innerSize(ref)
    const size = fieldSize(inner)
    if (this.#used + size > this.#max && this.#used > 0) return false
    if (this.#used === 0) {
      this.#max = this.#sizes.messageSize
      this.#bytes = Buffer.allocUnsafe(Math.max(size, this.#max))
    }
    this.#head(tags.refs, inner)
    this.#data(tags.name, ref.name)
    this.#text(tags.objectId, ref.objectId)
    this.#data(tags.symrefTarget, ref.symrefTarget)
    this.#text(tags.peeled, ref.peeled)
    return true
  }

  /** Returns the message so far, and begins an empty one. */
  take(): RefsMessage {
    const encoded = this.#bytes.subarray(0, this.#used)
    this.#bytes = Buffer.alloc(0)
    this.#used = 0
    return { encoded }
  }

  #head(tag: number, length: number): void {
    this.#bytes[this.#used++] = tag
    let rest = length
    for (; rest > 0x7f; rest >>>= 7) this.#bytes[this.#used++] = (rest & 0x7f) | 0x80
    this.#bytes[this.#used++] = rest
  }

  #data(tag: number, value: Buffer | undefined): void {
    if (!value?.length) return
    this.#head(tag, value.length)
    this.#used += value.copy(this.#bytes, this.#used)
  }

  #text(tag: number, value: string | undefined): void {
    if (!value) return
    this.#head(tag, value.length)
    this.#used += this.#bytes.write(value, this.#used, 'latin1')
  }
}

const innerSize = ({ name, objectId = '', symrefTarget, peeled = '' }: Ref): number =>
  [name.length, objectId.length, symrefTarget?.length ?? 0, peeled.length]
    .map((length) => (length > 0 ? fieldSize(length) : 0))
    .reduce((sum, size) => sum + size)

/** Returns the bytes of a field: its tag, a length of at most 21 bits, and so many bytes. */
const fieldSize = (length: number): number => length + (length > 0x3fff ? 4 : length > 0x7f ? 3 : 2)
