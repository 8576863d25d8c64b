import type { IncomingMessage } from 'node:http'
import { Problem, type BodyCheck } from './endpoint.js'

/** A body that is being received, in one buffer: a buffer for each chunk could take far more memory than its bytes. */
class Body {
  readonly #max: number
  #buffer = Buffer.alloc(0)
  #length = 0
  #isDropped = false
  /** Ends the wait for more bytes. */
  wake = (): void => {}

  constructor(max: number) {
    this.#max = max
  }

  /** Bytes of memory in use. */
  get size(): number {
    return this.#buffer.length
  }

  get isDropped(): boolean {
    return this.#isDropped
  }

  fits(piece: Buffer): boolean {
    return this.#length + piece.length <= this.#max
  }

  /** Returns the bytes of memory that will be in use when this piece is added. */
  sizeWith(piece: Buffer): number {
    const length = this.#length + piece.length
    return length <= this.size ? this.size : Math.min(Math.max(length, this.size * 2), this.#max)
  }

  add(piece: Buffer): void {
    const size = this.sizeWith(piece)
    if (size > this.size) {
      const buffer = Buffer.allocUnsafeSlow(size)
      this.#buffer.copy(buffer, 0, 0, this.#length)
      this.#buffer = buffer
    }
    this.#length += piece.copy(this.#buffer, this.#length)
  }

  all(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  drop(): void {
    this.#isDropped = true
    this.#buffer = Buffer.alloc(0)
    this.wake()
  }
}

/**
 * Reads the bodies of all requests within one memory limit. When they exceed it together, the largest is dropped, so that a
 * few large bodies that never end cannot block small ones.
 */
export class RequestBodies {
  readonly #max: number
  readonly #dropped: () => void
  readonly #reading = new Set<Body>()
  #size = 0

  /** @param max most bytes of all bodies together @param dropped called for each body that is dropped */
  constructor(max: number, dropped: () => void = () => {}) {
    this.#max = max
    this.#dropped = dropped
  }

  /** Bytes of memory that all bodies use now. */
  get size(): number {
    return this.#size
  }

  /**
   * Resolves with a complete body that `check` accepts.
   * @param max most bytes of this body
   * @throws Problem 413 if it is longer, 503 if it was dropped, 400 if it is incomplete, and what `check` throws
   */
  async read(request: IncomingMessage, max: number, check?: BodyCheck): Promise<Buffer> {
    const body = new Body(max)
    const tooLong = (): Problem => new Problem(413, `the body is longer than ${max} bytes`)
    if (Number(request.headers['content-length'] ?? 0) > max) throw tooLong()
    this.#reading.add(body)
    try {
      for (;;) {
        const piece = await nextPiece(request, body)
        if (piece === null) break
        if (!body.fits(piece)) throw tooLong()
        check?.take(piece)
        this.#add(body, piece)
      }
      if (body.isDropped) throw new Problem(503, 'too many request bodies are being received; try again')
      // A truncated body must not count as no body, which has a meaning (DELETE: changed).
      if (!request.complete) throw new Problem(400, 'the body is incomplete')
      check?.end()
      return body.all()
    } finally {
      if (this.#reading.delete(body)) this.#size -= body.size
    }
  }

  #add(body: Body, piece: Buffer): void {
    const more = body.sizeWith(piece) - body.size
    while (this.#size + more > this.#max) {
      const largest = this.#largest(body, more)
      this.#reading.delete(largest)
      this.#size -= largest.size
      largest.drop()
      this.#dropped()
      if (largest === body) return
    }
    body.add(piece)
    this.#size += more
  }

  /** Returns the body that uses most memory, once `growing` has grown by this much. */
  #largest(growing: Body, more: number): Body {
    let [largest, size] = [growing, growing.size + more]
    for (const body of this.#reading) if (body.size > size) [largest, size] = [body, body.size]
    return largest
  }
}

/** Resolves with the next piece of a body; null: it has ended, is incomplete, or was dropped. */
async function nextPiece(request: IncomingMessage, body: Body): Promise<Buffer | null> {
  for (;;) {
    if (body.isDropped) return null
    const piece = request.read() as Buffer | null
    if (piece !== null || request.readableEnded || request.destroyed) return piece
    await new Promise<void>((resolve) => {
      const go = (): void => {
        for (const event of events) request.off(event, go)
        resolve()
      }
      for (const event of events) request.on(event, go)
      body.wake = go
    })
  }
}

/** `error` too: without a listener, it would end the program. */
const events = ['readable', 'end', 'close', 'error'] as const
