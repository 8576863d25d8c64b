import { packetLength } from './pkt-line.js'

/** The first bytes of a payload that tell that the packet carries an error message (gitprotocol-pack(5), "ERR"). */
const errMark = Buffer.from('ERR ').readInt32BE()
/** The same from upload-archive (git-upload-archive(1)). */
const nackMark = Buffer.from('NACK').readInt32BE()
const markSize = 4
/** The band of a side-band that carries a fatal error message (gitprotocol-pack(5)). */
const fatalBand = 3

/**
 * Parses an answer of a Git service in chunks of any size, without keeping them, to tell how it begins and how it ended.
 *
 * An answer may end as it should, after a whole flush packet; or in a complete error message of Git: an ERR packet, a packet
 * on the third band of a side-band, or a NACK of upload-archive. A client that reads such an answer learns that the request
 * failed, and why, so it is whole even though Git exits with an error code.
 */
export class AnswerEnding {
  /** The digits of a length that the end of a chunk has cut, and how many of them have come. */
  readonly #digits = Buffer.alloc(4)
  #digitCount = 0
  /** Bytes of the current packet's payload that are still to come. */
  #payloadLeft = 0
  /** The first bytes of the current packet's payload as a number, the first one highest; and how many have not come. */
  #mark = 0
  #markShift = 24
  #markLeft = 0
  #lastIsFlush = false
  /** Does the last packet with a payload carry an error? Does any? */
  #lastIsError = false
  #hasError = false
  #beginsWithError: boolean | undefined
  /** Four bytes that should be a length and are none. */
  #garbage: string | undefined

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#garbage === undefined;) {
      if (this.#payloadLeft > 0) {
        const end = Math.min(chunk.length, at + this.#payloadLeft)
        if (this.#markLeft > 0) this.#readMark(chunk, at, end)
        this.#payloadLeft -= end - at
        at = end
      } else if (this.#digitCount === 0 && chunk.length - at >= 4) {
        this.#begin(chunk, at)
        at += 4
      } else {
        const copied = chunk.copy(this.#digits, this.#digitCount, at, at + 4 - this.#digitCount)
        at += copied
        this.#digitCount = (this.#digitCount + copied) % 4
        if (this.#digitCount === 0) this.#begin(this.#digits, 0)
      }
    }
  }

  /** @throws if four bytes that should be a length were not hexadecimal: the rest is not packets */
  requirePackets(): void {
    if (this.#garbage !== undefined)
      throw new Error(`not a pkt-line length: ${JSON.stringify(this.#garbage)}`)
  }

  #begin(digits: Buffer, at: number): void {
    const length = packetLength(digits, at)
    if (Number.isNaN(length)) this.#garbage = digits.toString('latin1', at, at + 4)
    this.#lastIsFlush = length === 0
    // 0000 to 0003 are special packets (flush, delimiter, response end), and 0004 has no payload.
    this.#payloadLeft = length > 4 ? length - 4 : 0
    this.#mark = 0
    this.#markShift = 24
    this.#markLeft = Math.min(markSize, this.#payloadLeft)
    if (this.#payloadLeft === 0) this.#beginsWithError ??= false
  }

  #readMark(chunk: Buffer, at: number, end: number): void {
    // Runs for each ref of a listing, so it makes no text.
    for (; at < end && this.#markLeft > 0; at++) {
      this.#mark |= chunk[at]! << this.#markShift
      this.#markShift -= 8
      this.#markLeft--
    }
    if (this.#markLeft > 0) return
    this.#lastIsError = this.#mark >>> 24 === fatalBand || this.#mark === errMark || this.#mark === nackMark
    if (this.#lastIsError) this.#hasError = true
    this.#beginsWithError ??= this.#lastIsError
  }

  /** Is the first packet an error message? undefined: too little of it has come. */
  get beginsWithError(): boolean | undefined {
    return this.#beginsWithError
  }

  /** Has any packet been an error message? */
  get hasError(): boolean {
    return this.#hasError
  }

  /** If the answer ends here: does it end after a whole packet? So does an empty one. */
  get endsInPacket(): boolean {
    return this.#payloadLeft === 0 && this.#digitCount === 0 && this.#garbage === undefined
  }

  /** If the answer ends here: does it end after a flush packet? */
  get endsInFlush(): boolean {
    return this.#lastIsFlush && this.endsInPacket
  }

  /** If the answer ends here: does it end in a complete error message, with or without a flush packet after it? */
  get endsInError(): boolean {
    return this.#lastIsError && this.endsInPacket
  }
}
