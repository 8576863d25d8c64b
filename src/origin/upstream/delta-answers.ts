import { LRUCache } from 'lru-cache'
import type { Entry, Follower } from '../../streamcache/index.js'
import { DamagedDelta, deltaLengthMax, manipulation } from '../deltas/delta-format.js'
import { splicedBody } from '../deltas/spliced-body.js'
import { UpstreamUnavailable, type UpstreamResponse } from './client/upstream-client.js'
import { answerMax, AnswerTooLong, decoded, smartAnswer } from './smart-answer.js'
import { addressOf, type UpstreamRepository } from './upstream.js'

/** 226 IM Used (RFC 3229, section 10.4.1). */
export const deltaStatus = 226

/** Most repositories whose deltas were damaged, and for how many milliseconds none is asked for. */
const refusedMemory = { max: 10_000, ttl: 600_000 }

export interface DeltaAnswersOptions {
  /**
   * Called when an answer that came as a delta has ended; not if the upstream was lost meanwhile.
   * @param saved bytes that the delta is shorter than the answer
   */
  readonly ended?: ((upstream: string, result: 'applied' | 'damaged', saved: number) => void) | undefined
}

/** What an upstream's answer is a delta to. Somebody follows the entry until the answer has ended. */
export interface DeltaBase {
  readonly entry: Entry
  /** Its bytes, if they are in memory in another place. */
  readonly bytes: readonly Buffer[] | undefined
}

/** Answers of a refstream that come as their differences from what is kept. */
export class DeltaAnswers {
  readonly #ended: NonNullable<DeltaAnswersOptions['ended']>
  /** Repositories, by address, whose deltas were damaged lately: their answers are asked for as a whole. */
  readonly #refused = new LRUCache<string, true>(refusedMemory)

  constructor({ ended = () => {} }: DeltaAnswersOptions = {}) {
    this.#ended = ended
  }

  /** May a delta be asked for? */
  mayAccept(repository: UpstreamRepository): boolean {
    return !this.#refused.has(addressOf(repository))
  }

  /**
   * Returns the answer that a response makes of what is kept, checked as a whole one is. It is whole if its end has been read: its
   * digest is compared then.
   * @throws UpstreamUnavailable, also if the delta is damaged or one of other bytes; what `check` throws; so does reading it
   */
  async answer(
    repository: UpstreamRepository,
    response: UpstreamResponse,
    base: DeltaBase,
    check?: (chunk: Buffer) => void,
  ): Promise<AsyncIterable<Buffer>> {
    return smartAnswer(response, check, answerMax, this.#body(repository, response, base))
  }

  async *#body(
    repository: UpstreamRepository,
    response: UpstreamResponse,
    base: DeltaBase,
  ): AsyncGenerator<Buffer> {
    const { name } = repository.upstream
    let [sent, made] = [0, 0]
    let follower: Follower | undefined
    try {
      const sha256 = requireBase(response, base.entry)
      const delta = counted(decoded(response, 2 * deltaLengthMax), (bytes) => (sent += bytes))
      follower = base.bytes ? undefined : base.entry.follow()
      if (follower && !(await base.entry.load()))
        throw new DamagedDelta('what it belongs to cannot be read any more')
      const bytes = base.bytes ?? (follower as Follower)
      for await (const part of splicedBody({ base: bytes, baseLength: base.entry.length, delta, sha256 })) {
        made += part.length
        yield part
      }
      this.#ended(name, 'applied', Math.max(0, made - sent))
    } catch (cause) {
      if (!(cause instanceof DamagedDelta || cause instanceof AnswerTooLong)) throw cause
      this.#refused.set(addressOf(repository), true)
      this.#ended(name, 'damaged', 0)
      throw new UpstreamUnavailable(`${name} sent a damaged delta: ${cause.message}`, { cause })
    } finally {
      // It may not have been read from at all.
      follower?.close()
      // Of a response that is not read, the connection would stay.
      response.body.destroy()
    }
  }
}

/** Returns the digest of the result. @throws DamagedDelta if it is a delta in another form, or to other bytes */
function requireBase(response: UpstreamResponse, entry: Entry): string {
  const value = (name: string): string => response.values(name).join()
  if (value('im').trim().toLowerCase() !== manipulation) throw new DamagedDelta('it is in an unknown form')
  if (value('delta-base') !== `"${entry.sha256}"`) throw new DamagedDelta('it is one of other bytes')
  const [, sha256] = /^"([0-9a-f]{64})"$/.exec(value('etag')) ?? []
  if (sha256 === undefined) throw new DamagedDelta('it does not name the digest of its result')
  return sha256
}

async function* counted(
  chunks: AsyncIterable<Buffer>,
  count: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    count(chunk.length)
    yield chunk
  }
}
