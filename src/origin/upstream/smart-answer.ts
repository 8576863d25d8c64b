import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { AnswerEnding } from '../../git/protocol/answer-ending.js'
import { UpstreamRefusal } from '../faults/upstream-errors.js'
import { UpstreamUnavailable, type UpstreamResponse } from './client/upstream-client.js'

/** Most bytes of a refusal's body that are passed on. */
const refusalMax = 64 * 1024

/** Most bytes of an answer about refs, inflated: some 7 million refs. Listings are in memory, and gzip makes little of much. */
export const answerMax = 512 * 1024 * 1024

/** Headers of a refusal that its client needs. */
const refusalHeaders = new Set(['content-type', 'www-authenticate', 'retry-after'])

/**
 * Returns the body of a response without its content coding.
 * @param maxBytes most bytes that may come of a compressed body: gzip can go on for ever and make nothing
 * @throws UpstreamUnavailable; so does reading the body
 */
export function decoded(response: UpstreamResponse, maxBytes = Infinity): Readable {
  const { body } = response
  const [coding = 'identity'] = response.values('content-encoding')
  if (coding === 'identity') return body
  if (coding !== 'gzip' && coding !== 'x-gzip') {
    body.destroy()
    throw new UpstreamUnavailable(`an upstream sent an answer in a coding that was not asked for: ${coding}`)
  }
  upTo(maxBytes, body, () => body.destroy(new AnswerTooLong(maxBytes)))
  // What fails the one fails the other.
  return pipeline(body, createGunzip(), () => {})
}

/** Counts what is read of a body from now on. */
function upTo(maxBytes: number, body: Readable, exceeded: () => void): void {
  let left = maxBytes
  body.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) exceeded()
  })
}

/** An answer goes on for longer than any that is of use. */
export class AnswerTooLong extends UpstreamUnavailable {
  constructor(maxBytes: number) {
    super(`an upstream sent an answer about refs of more than ${maxBytes} bytes`)
  }
}

/** Reads a body that is of no use, so that its connection can be used again; if it is long, closes the connection instead. */
export function discard(body: Readable): void {
  upTo(refusalMax, body, () => body.destroy())
}

/**
 * Returns the error that passes a response on to the client as it is.
 * @throws UpstreamUnavailable if it is no refusal: a redirect, say, which the client must not follow, or a 206
 */
export async function refusalOf(response: UpstreamResponse): Promise<UpstreamRefusal> {
  const { status } = response
  if (status < 400) {
    response.body.destroy()
    throw new UpstreamUnavailable(`an upstream answered ${status} to a question of Git's protocol`, {
      status,
    })
  }
  const headers: string[] = []
  for (let at = 0; at < response.headers.length; at += 2) {
    const [name = '', value = ''] = response.headers.slice(at, at + 2)
    if (refusalHeaders.has(name.toLowerCase())) headers.push(name, value)
  }
  return new UpstreamRefusal(status, headers, await beginningOf(decoded(response, 2 * refusalMax)))
}

async function beginningOf(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      length += chunk.length
      if (length > refusalMax) break
    }
  } catch (error) {
    throw unreadable(error)
  }
  return Buffer.concat(chunks).subarray(0, refusalMax)
}

/** Returns the error for a body that cannot be read; zlib's own would be taken for one of this process. */
function unreadable(error: unknown): unknown {
  const isOfZlib = /^Z_/.test((error as NodeJS.ErrnoException).code ?? '')
  if (!isOfZlib) return error
  const message = `an upstream sent an answer that is not gzip as it says: ${(error as Error).message}`
  return new UpstreamUnavailable(message, { cause: error })
}

/**
 * Returns the packets of an answer to a question about refs, whose end is checked: it ends only after a flush packet.
 * @param check called with each chunk before it is passed on; its error ends the answer
 * @param maxBytes most bytes that it may have
 * @param body left out: the response's, without its content coding
 * @throws UpstreamRefusal if the answer begins with an error message, which its client understands; UpstreamUnavailable; what
 * `check` throws
 */
export async function smartAnswer(
  response: UpstreamResponse,
  check?: (chunk: Buffer) => void,
  maxBytes = answerMax,
  body: AsyncIterable<Buffer> = decoded(response, maxBytes),
): Promise<AsyncIterable<Buffer>> {
  const chunks = body[Symbol.asyncIterator]()
  const ending = new AnswerEnding()
  let total = 0
  const next = async (): Promise<Buffer | undefined> => {
    const read = await chunks.next().catch((error: unknown) => {
      throw unreadable(error)
    })
    if (read.done) return undefined
    const { value } = read
    total += value.length
    if (total > maxBytes) throw new AnswerTooLong(maxBytes)
    ending.push(value)
    requirePackets(ending)
    check?.(value)
    return value
  }
  const first: Buffer[] = []
  try {
    for (let length = 0; ending.beginsWithError !== false && length <= refusalMax;) {
      const chunk = await next()
      if (!chunk) break
      first.push(chunk)
      length += chunk.length
    }
    if (ending.beginsWithError) throw refusalIn(first, ending, response)
  } catch (error) {
    // What is not read would keep its connection.
    await chunks.return?.()
    throw error
  }
  return rest(first, next, ending, chunks)
}

/** @throws UpstreamUnavailable */
function requirePackets(ending: AnswerEnding): void {
  try {
    ending.requirePackets()
  } catch (cause) {
    throw new UpstreamUnavailable(
      `an upstream sent an answer that is not in Git's protocol: ${(cause as Error).message}`,
      { cause },
    )
  }
}

function refusalIn(chunks: readonly Buffer[], ending: AnswerEnding, response: UpstreamResponse): Error {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  if (!ending.endsInPacket || length > refusalMax)
    return new UpstreamUnavailable('an upstream sent an error message that is not whole, or too long')
  const type = response.values('content-type').flatMap((value) => ['Content-Type', value])
  return new UpstreamRefusal(200, type, Buffer.concat(chunks))
}

async function* rest(
  first: Buffer[],
  next: () => Promise<Buffer | undefined>,
  ending: AnswerEnding,
  chunks: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer> {
  try {
    yield* first.splice(0)
    for (let chunk = await next(); chunk; chunk = await next()) yield chunk
    if (!ending.endsInFlush)
      throw new UpstreamUnavailable('an upstream sent an answer about refs that is not whole')
  } finally {
    await chunks.return?.()
  }
}
