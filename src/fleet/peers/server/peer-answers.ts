import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Metrics } from '../../../telemetry/metrics.js'
import type { Tracing } from '../../../telemetry/tracing/tracing.js'
import type { AnswerStream } from './answer-stream.js'
import {
  PeerRefused,
  type AnsweredEntry,
  type FaultCodec,
  type PeerAnswerer,
  type PeerQuestion,
} from '../peer.js'
import { isDigest } from '../protocol/request-head.js'

export interface PeerAnswersOptions {
  readonly answerer: PeerAnswerer
  readonly codec: FaultCodec
  readonly metrics: Pick<Metrics, 'fleetPeerRequests' | 'fleetPeerBytes'>
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
}

/** Of the request that asks. */
interface AskingHead {
  /** SHA-256 of the bytes that the asking node has. */
  readonly have: string | undefined
  /** Name of the asking node. */
  readonly from: string
  readonly headers: IncomingHttpHeaders
}

/** How an answer has ended, as in the metric's label. */
type Result = 'ok' | 'unchanged' | 'refused' | 'failed' | 'broken'

/** Characters of an error's message that are told to another node. */
const messageMax = 4096

/** What this node answers to the questions and messages of others. Never rejects. */
export class PeerAnswers {
  readonly #options: PeerAnswersOptions

  constructor(options: PeerAnswersOptions) {
    this.#options = options
  }

  /** Answers a question, as part of the asking node's trace, and resolves when the answer has ended. */
  answer(body: Buffer, { have, from, headers }: AskingHead, stream: AnswerStream): Promise<void> {
    const { tracing } = this.#options
    if (!tracing) return this.#answer(body, have, stream)
    const attributes = { 'refstream.peer.node': from }
    return tracing.serveNode('peer', headers, attributes, () => this.#answer(body, have, stream))
  }

  async #answer(body: Buffer, have: string | undefined, stream: AnswerStream): Promise<void> {
    let result: Result
    try {
      const question = questionIn(body)
      const answered = await this.#options.answerer.answer(question, stream.signal)
      result = await this.#send(answered, have, stream)
    } catch (error) {
      result = this.#fail(error, stream)
    }
    this.#options.metrics.fleetPeerRequests.inc({ direction: 'answered', result })
  }

  /** Takes note of a message. */
  hear(body: Buffer, stream: AnswerStream): void {
    try {
      this.#options.answerer.hear(questionIn(body))
      stream.end('heard', {})
    } catch (error) {
      this.#fail(error, stream)
    }
  }

  /** Sends an entry, and closes its follower. */
  async #send(answered: AnsweredEntry, have: string | undefined, stream: AnswerStream): Promise<Result> {
    const { follower, ageMs, sha256 } = answered
    const close = (): void => follower.close()
    try {
      if (stream.signal.aborted) return 'broken'
      stream.signal.addEventListener('abort', close)
      if (have !== undefined && have === sha256) {
        stream.end('unchanged', { ageMs })
        return 'unchanged'
      }
      stream.begin('head', { ageMs })
      const known = isDigest(sha256) ? sha256 : undefined
      const hash = known === undefined ? createHash('sha256') : undefined
      for (let chunk = await follower.read(); chunk; chunk = await follower.read()) {
        hash?.update(chunk)
        this.#options.metrics.fleetPeerBytes.inc({ direction: 'sent' }, chunk.length)
        if (!(await stream.send(chunk))) return 'broken'
      }
      const end = { length: follower.offset, sha256: known ?? hash?.digest('hex'), notes: answered.notes?.() }
      stream.end('end', end)
      return 'ok'
    } finally {
      stream.signal.removeEventListener('abort', close)
      follower.close()
    }
  }

  /** Tells the asking node of an error, which may be that it has gone itself. */
  #fail(error: unknown, stream: AnswerStream): Result {
    if (stream.signal.aborted) return 'broken'
    if (error instanceof PeerRefused) {
      stream.end('refused', { why: error.why, message: error.message.slice(0, messageMax) })
      return 'refused'
    }
    try {
      const { code, message, details } = this.#options.codec.encode(error)
      const fault = { code, message: message.slice(0, messageMax) }
      try {
        stream.end('error', { ...fault, details })
      } catch {
        // Too large, or not to be written in JSON.
        stream.end('error', fault)
      }
      return 'failed'
    } catch {
      stream.break()
      return 'broken'
    }
  }
}

/** @throws PeerRefused if the body is not an object in JSON: the asking node is of another version, say */
function questionIn(body: Buffer): PeerQuestion {
  let value: unknown
  try {
    value = JSON.parse(body.toString())
  } catch {
    value = undefined
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as PeerQuestion
  throw new PeerRefused('different', 'the question is not an object in JSON')
}
