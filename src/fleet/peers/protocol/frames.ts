/**
 * The frames in which a node answers another one: a byte for the kind, the length of the payload in four bytes (big endian), the
 * payload. An answer is one of `unchanged`, `refused`, `error` and `heard`; or a `head`, the bytes, and an `end`, `refused` or
 * `error`. Signs of life (`sign`) may stand before and between. The frames alone tell nothing of who has sent them, or whether
 * bytes are whole: client/answer-reader.ts does.
 */
const kinds = ['data', 'sign', 'head', 'unchanged', 'end', 'refused', 'error', 'heard'] as const

/** A frame whose payload is a proof, and then an object in JSON. */
export type ControlKind = Exclude<(typeof kinds)[number], 'data' | 'sign'>

export type Frame =
  /** Bytes of an entry: as many of the frame as have come. */
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'sign' }
  | { readonly kind: ControlKind; readonly proof: Buffer; readonly json: Buffer }

/** Bytes of entries that one frame may hold. */
export const dataMax = 1 << 20
/** Bytes that the JSON of one frame may have. */
export const jsonMax = 64 << 10
/** Bytes of a proof (HMAC-SHA256). */
export const proofLength = 32

const headerLength = 5

/** What came is not a frame. */
export class MalformedFrame extends Error {
  override readonly name = 'MalformedFrame'
}

/** Returns what stands before bytes of an entry. @param length 1 to `dataMax` */
export function dataHeader(length: number): Buffer {
  if (length < 1 || length > dataMax) throw new RangeError(`a frame cannot hold ${length} bytes`)
  return headerOf('data', length)
}

export const signFrame: Buffer = headerOf('sign', 0)

/** @throws RangeError if the JSON is longer than `jsonMax` */
export function controlFrame(kind: ControlKind, proof: Buffer, json: Buffer): Buffer {
  if (json.length > jsonMax) throw new RangeError(`${kind}: ${json.length} bytes of JSON are too many`)
  return Buffer.concat([headerOf(kind, proofLength + json.length), proof, json])
}

function headerOf(kind: Frame['kind'], length: number): Buffer {
  const header = Buffer.alloc(headerLength)
  header[0] = kinds.indexOf(kind) + 1
  header.writeUInt32BE(length, 1)
  return header
}

/** Takes frames out of a stream that comes in pieces of any size. Holds one frame of JSON at most, and no data. */
export class FrameDecoder {
  /** Where a header, or the payload of a frame of JSON, is put together, and how much of it has come. */
  #held: Buffer = Buffer.alloc(headerLength)
  #filled = 0
  /** The frame of JSON whose header has come. */
  #control: ControlKind | undefined
  /** Bytes that are still to come of a data frame. */
  #dataLeft = 0

  /** Is the stream between two frames? */
  get isBetweenFrames(): boolean {
    return this.#dataLeft === 0 && this.#control === undefined && this.#filled === 0
  }

  /** Yields the frames that have come; data frames in part. @throws MalformedFrame */
  *decode(chunk: Buffer): Generator<Frame, void> {
    let rest = chunk
    while (rest.length > 0) {
      if (this.#dataLeft > 0) {
        const bytes = rest.subarray(0, this.#dataLeft)
        this.#dataLeft -= bytes.length
        rest = rest.subarray(bytes.length)
        yield { kind: 'data', bytes }
        continue
      }
      const copied = rest.copy(this.#held, this.#filled)
      this.#filled += copied
      rest = rest.subarray(copied)
      if (this.#filled < this.#held.length) return
      const frame = this.#take(this.#held)
      if (frame) yield frame
    }
  }

  /** Takes what has been put together, and says what is to be put together next. */
  #take(whole: Buffer): Frame | undefined {
    const kind = this.#control
    this.#filled = 0
    this.#control = undefined
    if (kind === undefined) return this.#begin(whole) ? { kind: 'sign' } : undefined
    this.#held = Buffer.alloc(headerLength)
    return { kind, proof: whole.subarray(0, proofLength), json: whole.subarray(proofLength) }
  }

  /** Takes a header. @returns whether it is a sign of life, which is a header only */
  #begin(header: Buffer): boolean {
    const kind = kinds[header[0]! - 1]
    const length = header.readUInt32BE(1)
    const [min, max] =
      kind === 'sign' ? [0, 0] : kind === 'data' ? [1, dataMax] : [proofLength, proofLength + jsonMax]
    if (kind === undefined || length < min || length > max) {
      throw new MalformedFrame(`a frame of kind ${header[0]} cannot have ${length} bytes`)
    }
    if (kind === 'sign') return true
    if (kind === 'data') this.#dataLeft = length
    else {
      this.#control = kind
      this.#held = Buffer.alloc(length)
    }
    return false
  }
}
