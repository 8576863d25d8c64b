import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { afterReading } from './after-reading.js'
import { FrameDecoder, MalformedFrame, type ControlKind, type Frame } from '../protocol/frames.js'
import type { Member } from './member.js'
import { peerError, silent, unreachable, type PeerTimes } from './peer-request.js'
import { PeerRefused, PeerUnreachable, type FaultCodec } from '../peer.js'
import { isSameProof, type Prover } from '../protocol/proof.js'

export interface AnswerReaderOptions {
  readonly member: Member
  readonly prover: Prover
  /** The proof of the request that is answered. */
  readonly request: Buffer
  readonly codec: FaultCodec
  readonly times: PeerTimes
  /** Ends the response. */
  readonly signal: AbortSignal
}

/** The first frame of an answer, other than an error. */
export interface AnswerBegin {
  readonly kind: 'head' | 'unchanged' | 'heard'
  readonly ageMs: number
}

type Json = Readonly<Record<string, unknown>>

/**
 * Reads an answer, and believes it only if its frames are in order, their proofs are right, and length and SHA-256 of the
 * bytes are those of the end. All else is PeerUnreachable: the answer is broken, whatever has broken it.
 */
export class AnswerReader {
  readonly #options: AnswerReaderOptions
  readonly #response: IncomingMessage
  readonly #pieces: AsyncIterator<Buffer>
  readonly #decoder = new FrameDecoder()
  readonly #hash = createHash('sha256')
  #frames: Iterator<Frame, void> | undefined
  #length = 0
  #notes: Json | undefined

  constructor(response: IncomingMessage, options: AnswerReaderOptions) {
    this.#response = response
    this.#options = options
    this.#pieces = (response as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  }

  /** What was told at the end of the bytes. @throws Error before that */
  get notes(): Json {
    if (!this.#notes) throw new Error('notes are there after the end of the bytes')
    return this.#notes
  }

  /** Reads the beginning. @throws PeerRefused, PeerUnreachable, PeerSilent, or the node's error */
  async begin(): Promise<AnswerBegin> {
    return this.#broken(async () => {
      const frame = await this.#next()
      if (frame.kind === 'data') throw this.#malformed('begins with bytes')
      const value = this.#valueOf(frame)
      if (frame.kind === 'end') throw this.#malformed('begins with its end')
      if (frame.kind === 'refused' || frame.kind === 'error') throw this.#errorOf(frame.kind, value)
      const { ageMs = 0 } = value
      if (typeof ageMs !== 'number' || !(ageMs >= 0)) throw this.#malformed('has no age')
      if (frame.kind !== 'head') this.#ended()
      return { kind: frame.kind, ageMs }
    })
  }

  /** Yields the bytes; to be iterated once. The connection closes if the loop ends early. */
  bytes(): AsyncIterableIterator<Buffer> {
    let isOver = false
    const iterator: AsyncIterableIterator<Buffer> = {
      next: async () => {
        if (isOver) return { done: true, value: undefined }
        const value = await this.#broken(() => this.#read())
        isOver = value === undefined
        return value === undefined ? { done: true, value } : { done: false, value }
      },
      return: () => {
        isOver = true
        if (!this.#notes) this.#response.destroy()
        return Promise.resolve({ done: true, value: undefined })
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /** Returns the next bytes; undefined at their end, if they are whole. */
  async #read(): Promise<Buffer | undefined> {
    const frame = await this.#next()
    if (frame.kind === 'data') {
      this.#length += frame.bytes.length
      this.#hash.update(frame.bytes)
      return frame.bytes
    }
    const value = this.#valueOf(frame)
    if (frame.kind === 'refused' || frame.kind === 'error') throw this.#errorOf(frame.kind, value)
    const { length, sha256, notes = {} } = value
    if (frame.kind !== 'end') throw this.#malformed(`has ${frame.kind} among its bytes`)
    if (length !== this.#length) throw this.#malformed(`has ${this.#length} bytes instead of ${length}`)
    if (sha256 !== this.#hash.digest('hex')) throw this.#malformed('has other bytes than its SHA-256 says')
    if (!isObject(notes)) throw this.#malformed('has no notes')
    this.#ended()
    this.#notes = notes
    return undefined
  }

  /** Returns the next frame that is not a sign of life. */
  async #next(): Promise<Exclude<Frame, { kind: 'sign' }>> {
    for (;;) {
      const next = this.#frames?.next()
      if (next && !next.done) {
        if (next.value.kind !== 'sign') return next.value
        continue
      }
      const piece = await this.#piece()
      if (piece.done) throw this.#malformed('has no end')
      this.#frames = this.#decoder.decode(piece.value)
    }
  }

  async #piece(): Promise<IteratorResult<Buffer>> {
    const { member, signal, times } = this.#options
    const { clock, silenceMs } = times
    // Counts only while this node waits: the other one sends no signs of life when this one does not read.
    const stop = afterReading(clock, silenceMs, () => void this.#response.destroy(silent(member, silenceMs)))
    try {
      return await this.#pieces.next()
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw peerError(error as NodeJS.ErrnoException, member)
    } finally {
      stop()
    }
  }

  #valueOf({ kind, proof, json }: { kind: ControlKind; proof: Buffer; json: Buffer }): Json {
    const { prover, request } = this.#options
    if (!isSameProof(prover.answer(request, kind, json), proof)) {
      throw this.#malformed('has a wrong proof: is the fleet secret the same on all nodes?')
    }
    try {
      const value: unknown = JSON.parse(json.toString())
      if (isObject(value)) return value
    } catch {
      // As below.
    }
    throw this.#malformed('is not JSON')
  }

  #errorOf(kind: 'refused' | 'error', { why, code, message, details }: Json): Error {
    if (typeof message !== 'string') return this.#malformed('has an error without a message')
    // The connection may be used again.
    if (kind === 'refused') {
      this.#ended()
      return new PeerRefused(why === 'different' ? why : 'elsewhere', message)
    }
    if (typeof code !== 'string') return this.#malformed('has an error without a code')
    this.#ended()
    return this.#options.codec.decode({ code, message, ...(isObject(details) && { details }) })
  }

  /** After the last frame: nothing may follow, and the connection is free when the response has ended. */
  #ended(): void {
    if (this.#frames?.next().done === false || !this.#decoder.isBetweenFrames) {
      throw this.#malformed('goes on behind its end')
    }
    const rest = async (): Promise<void> => {
      if ((await this.#piece()).done !== true) this.#response.destroy()
    }
    // The answer is whole, whatever becomes of the connection.
    rest().catch(() => {})
  }

  #malformed(what: string): PeerUnreachable {
    return unreachable(this.#options.member, `has sent an answer that is broken: it ${what}`)
  }

  /** Closes the connection after an error, and throws what the error means. */
  async #broken<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      if (error instanceof MalformedFrame) {
        this.#response.destroy()
        throw this.#malformed(error.message)
      }
      if (error instanceof PeerUnreachable) this.#response.destroy()
      throw error
    }
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
