import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { AnswerEnding, NotPackets } from '../../git/protocol/answer-ending.js'
import { UpstreamRefusal } from '../upstream-errors.js'
import { UpstreamUnavailable, type UpstreamResponse } from './client/upstream-client.js'

/** Most bytes of a refusal's body that are passed on. */
const refusalMax = 64 * 1024

/** Headers of a refusal that its client needs. */
const refusalHeaders = new Set(['content-type', 'www-authenticate', 'proxy-authenticate', 'retry-after'])

/** Returns the body of a response without its content coding. */
export function decoded(response: UpstreamResponse): Readable {
  const { body } = response
  const [coding = 'identity'] = response.values('content-encoding')
  if (coding === 'identity') return body
  if (coding !== 'gzip' && coding !== 'x-gzip') {
    body.destroy()
    throw new UpstreamUnavailable(`an upstream sent an answer in a coding that was not asked for: ${coding}`)
  }
  // What fails the one fails the other.
  return pipeline(body, createGunzip(), () => {})
}

/** Returns the error that passes a response on to the client as it is. */
export async function refusalOf(response: UpstreamResponse): Promise<UpstreamRefusal> {
  const headers: string[] = []
  for (let at = 0; at < response.headers.length; at += 2) {
    const [name = '', value = ''] = response.headers.slice(at, at + 2)
    if (refusalHeaders.has(name.toLowerCase())) headers.push(name, value)
  }
  return new UpstreamRefusal(response.status, headers, await beginningOf(decoded(response)))
}

async function beginningOf(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    length += chunk.length
    if (length > refusalMax) break
  }
  return Buffer.concat(chunks).subarray(0, refusalMax)
}

/**
 * Returns the packets of an answer to a question about refs, whose end is checked: it ends only after a flush packet.
 * @throws UpstreamRefusal if the answer begins with an error message, which its client understands; UpstreamUnavailable
 */
export async function smartAnswer(
  response: UpstreamResponse,
  check?: (chunk: Buffer) => void,
): Promise<AsyncIterable<Buffer>> {
  const chunks = decoded(response)[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const ending = new AnswerEnding()
  const next = async (): Promise<Buffer | undefined> => {
    try {
      const read = await chunks.next()
      if (read.done) return undefined
      const { value } = read
      ending.push(value)
      ending.requirePackets()
      check?.(value)
      return value
    } catch (error) {
      await chunks.return?.()
      throw isSpoiled(error) ? spoiled(error) : error
    }
  }
  const first: Buffer[] = []
  // An error message is short, and all of it is read.
  for (let length = 0; ending.beginsWithError !== false && length <= refusalMax;) {
    const chunk = await next()
    if (!chunk) break
    first.push(chunk)
    length += chunk.length
  }
  if (!ending.beginsWithError) return rest(first, next, ending, chunks)
  await chunks.return?.()
  if (!ending.endsInError) throw notWhole()
  const type = response.values('content-type').flatMap((value) => ['Content-Type', value])
  throw new UpstreamRefusal(200, type, Buffer.concat(first))
}

const notWhole = (): Error =>
  new UpstreamUnavailable('an upstream sent an answer about refs that is not whole')

/** Is what came not packets, or not in the coding that it was said to have (zlib's error codes)? */
const isSpoiled = (error: unknown): error is Error =>
  error instanceof NotPackets || ((error as Partial<NodeJS.ErrnoException>).code ?? '').startsWith('Z_')

const spoiled = (error: Error): Error =>
  new UpstreamUnavailable(`an upstream sent an answer that cannot be read: ${error.message}`, {
    cause: error,
  })

async function* rest(
  first: Buffer[],
  next: () => Promise<Buffer | undefined>,
  ending: AnswerEnding,
  chunks: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer> {
  try {
    yield* first.splice(0)
    for (let chunk = await next(); chunk; chunk = await next()) yield chunk
    if (!ending.endsInFlush) throw notWhole()
  } finally {
    await chunks.return?.()
  }
}
