import { packetLength } from './pkt-line.js'

/** Bytes at the start of a payload that tell the kind of packet. */
const markSize = 4
/** The band of a side-band that carries a fatal error message (gitprotocol-pack(5)). */
const fatalBand = 3

/**
 * Parses an answer of a Git service in chunks of any size, without keeping them, to tell whether it ended in a complete
 * error message of Git: an ERR packet (gitprotocol-pack(5)), a packet on the third band of a side-band, or a NACK of
 * upload-archive. A client that reads such an answer learns that the request failed, and why, so the answer is whole even
 * though Git exits with an error code.
 */
export class ErrorEnding {
  readonly #digits = Buffer.alloc(4)
  #digitCount = 0
  /** Bytes of the current packet's payload that are still to come. */
  #payloadLeft = 0
  /** The first bytes of the current packet's payload. */
  readonly #mark = Buffer.alloc(markSize)
  #markCount = 0
  /** Did the last packet with a payload carry an error? */
  #isError = false
  /** The rest is not packets: a pack without a side-band. */
  #isRaw = false

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && !this.#isRaw;) {
      if (this.#payloadLeft > 0) {
        if (this.#markCount < markSize) {
          const end = Math.min(chunk.length, at + this.#payloadLeft)
          this.#markCount += chunk.copy(this.#mark, this.#markCount, at, end)
        }
        const skipped = Math.min(this.#payloadLeft, chunk.length - at)
        this.#payloadLeft -= skipped
        at += skipped
        if (this.#payloadLeft === 0) this.#isError = this.#carriesError()
        continue
      }
      const copied = chunk.copy(this.#digits, this.#digitCount, at, at + 4 - this.#digitCount)
      at += copied
      this.#digitCount = (this.#digitCount + copied) % 4
      if (this.#digitCount === 0) this.#begin(packetLength(this.#digits, 0))
    }
  }

  #begin(length: number): void {
    this.#isRaw = Number.isNaN(length)
    // 0000 to 0003 are special packets, and 0004 has no payload.
    this.#payloadLeft = Math.max(0, length - 4)
    this.#markCount = 0
  }

  #carriesError(): boolean {
    if (this.#mark[0] === fatalBand) return true
    const mark = this.#mark.toString('latin1', 0, this.#markCount)
    return mark === 'ERR ' || mark === 'NACK'
  }

  /** If the answer ends here: does it end in a complete error message? */
  get endsInError(): boolean {
    return this.#isError && this.#payloadLeft === 0 && this.#digitCount === 0 && !this.#isRaw
  }
}
