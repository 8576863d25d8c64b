import type { IncomingMessage } from 'node:http'
import { Problem, type BodyCheck } from './endpoint.js'

/** A body on its way, kept in one piece: a buffer for each chunk could cost far more than what is in it. */
class Body {
  readonly #max: number
  #kept = Buffer.alloc(0)
  #length = 0
  #refused = false
  /** Ends the wait for more. */
  wake = (): void => {}

  constructor(max: number) {
    this.#max = max
  }

  /** Bytes of memory that it takes. */
  get size(): number {
    return this.#kept.length
  }

  get refused(): boolean {
    return this.#refused
  }

  fits(piece: Buffer): boolean {
    return this.#length + piece.length <= this.#max
  }

  /** Bytes of memory that it takes with this piece. */
  sizeWith(piece: Buffer): number {
    const length = this.#length + piece.length
    return length <= this.size ? this.size : Math.min(Math.max(length, this.size * 2), this.#max)
  }

  add(piece: Buffer): void {
    const size = this.sizeWith(piece)
    if (size > this.size) {
      const kept = Buffer.allocUnsafeSlow(size)
      this.#kept.copy(kept, 0, 0, this.#length)
      this.#kept = kept
    }
    this.#length += piece.copy(this.#kept, this.#length)
  }

  all(): Buffer {
    return this.#kept.subarray(0, this.#length)
  }

  refuse(): void {
    this.#refused = true
    this.#kept = Buffer.alloc(0)
    this.wake()
  }
}

/**
 * Reads the bodies of all requests within one limit on memory. When they need more together, the largest is refused: so
 * a few large ones that never end keep no small one out.
 */
export class RequestBodies {
  readonly #max: number
  readonly #refused: () => void
  readonly #reading = new Set<Body>()
  #size = 0

  /** @param max most bytes that are kept of all bodies together @param refused told of each for which there is no room */
  constructor(max: number, refused: () => void = () => {}) {
    this.#max = max
    this.#refused = refused
  }

  /** Bytes that are kept now. */
  get size(): number {
    return this.#size
  }

  /**
   * Resolves with a body that has come whole and that `check` has let pass.
   * @param max most bytes of it
   * @throws Problem 413 if it is longer, 503 if there is no room for it, 400 if it broke off, and what `check` throws
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
        this.#keep(body, piece)
      }
      if (body.refused) throw new Problem(503, 'too many bytes of requests are on their way; come again')
      // Half a request asks for nothing; an absent body would mean something.
      if (!request.complete) throw new Problem(400, 'the body broke off')
      check?.end()
      return body.all()
    } finally {
      if (this.#reading.delete(body)) this.#size -= body.size
    }
  }

  #keep(body: Body, piece: Buffer): void {
    const more = body.sizeWith(piece) - body.size
    while (this.#size + more > this.#max) {
      const largest = this.#largest(body, more)
      this.#reading.delete(largest)
      this.#size -= largest.size
      largest.refuse()
      this.#refused()
      if (largest === body) return
    }
    body.add(piece)
    this.#size += more
  }

  /** The one that takes most memory; `growing` is to take more. */
  #largest(growing: Body, more: number): Body {
    let [largest, size] = [growing, growing.size + more]
    for (const body of this.#reading) if (body.size > size) [largest, size] = [body, body.size]
    return largest
  }
}

/** What has come next of a body; null: its end, also if that comes early or it is refused. */
async function nextPiece(request: IncomingMessage, body: Body): Promise<Buffer | null> {
  for (;;) {
    if (body.refused) return null
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

/** An error closes the request; listened to, it does not end the program. */
const events = ['readable', 'end', 'close', 'error'] as const
