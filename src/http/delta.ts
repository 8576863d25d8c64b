import { bodyLengthMax, deltaLengthMax, encodeDelta, manipulation } from '../origin/deltas/delta-format.js'
import { replacementsBetween } from '../origin/deltas/replacements.js'
import type { WholeAnswer } from '../git/protocol/listing-answer.js'
import { digestsIn, tagOf } from './entity-tag.js'
import type { Exchange } from './exchange.js'

/** A delta is never longer than this part of the whole answer. */
const worthwhilePart = 1 / 4

/** Does a request say that its client understands a delta (RFC 3229, section 10.5.3)? */
export function acceptsDelta({ headers }: Pick<Exchange['request'], 'headers'>): boolean {
  return [headers['a-im'] ?? []]
    .flat()
    .join()
    .split(',')
    .some((item) => {
      const [name = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
      return name === manipulation && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
    })
}

/** How a new answer differs from one that the client holds. */
export interface Delta {
  /** Of the answer that the client holds. */
  readonly baseSha256: string
  readonly body: Buffer
}

/**
 * Returns how an answer differs from one that a condition names.
 * @param earlier returns the answer with a digest, if it is known
 * @returns undefined: none of them is known, or the whole is to be sent
 */
export async function deltaOf(
  condition: string,
  earlier: (sha256: string) => WholeAnswer | undefined,
  now: WholeAnswer,
): Promise<Delta | undefined> {
  for (const baseSha256 of digestsIn(condition)) {
    const before = earlier(baseSha256)
    if (!before) continue
    if (Math.max(before.length, now.length) > bodyLengthMax) return undefined
    const most = Math.min(Math.floor(now.length * worthwhilePart), deltaLengthMax)
    const replacements = await replacementsBetween(before.parts, now.parts, most)
    const body = replacements && encodeDelta({ baseLength: before.length, length: now.length }, replacements)
    return body && body.length <= most ? { baseSha256, body } : undefined
  }
  return undefined
}

/**
 * Sends a delta (RFC 3229, section 10.4.1).
 * @param headers of the whole answer, without its tag
 * @param whole the answer
 */
export function sendDelta(
  exchange: Exchange,
  { baseSha256, body }: Delta,
  headers: readonly string[],
  whole: { readonly sha256: string; readonly length: number },
): Promise<void> | undefined {
  exchange.countDelta(whole.length - body.length)
  exchange.response.writeHead(226, [
    ...unstored(headers),
    ...['IM', manipulation, 'Delta-Base', tagOf(baseSha256), 'ETag', tagOf(whole.sha256)],
    ...['Content-Length', String(body.length)],
  ])
  return exchange.end(body)
}

/** A cache that does not know deltas must not give one to another client. */
const unstored = (headers: readonly string[]): string[] =>
  headers.map((value, index) => (headers[index - 1] === 'Cache-Control' ? 'no-store' : value))
