import { createHash } from 'node:crypto'
import { FillError, type Entry, type Producer } from '../../streamcache/index.js'

/** Most bytes of an answer that are held back until they are compared with what is kept. */
export const comparedMax = 4 * 1024 * 1024

/** An answer of which some chunks have been read, and which so far is not known to equal what is kept. */
export class ChangedAnswer {
  readonly #chunks: Buffer[]
  /** What has not been read; undefined: the answer has ended. */
  readonly #rest: AsyncIterator<Buffer> | undefined

  constructor(chunks: Buffer[], rest: AsyncIterator<Buffer> | undefined) {
    this.#chunks = chunks
    this.#rest = rest
  }

  /**
   * Returns what produces the answer's bytes, once. An answer cannot be repeated: its error is final, without a retry.
   * @param abort ends the answer when the engine ends the fill
   */
  producer(abort: (reason: unknown) => void): Producer {
    return (signal) => this.#produce(signal, abort)
  }

  async *#produce(signal: AbortSignal, abort: (reason: unknown) => void): AsyncGenerator<Buffer> {
    const end = (): void => abort(signal.reason)
    signal.addEventListener('abort', end, { once: true })
    try {
      // Each chunk is released when it has been passed on.
      for (let chunk = this.#chunks.shift(); chunk; chunk = this.#chunks.shift()) yield chunk
      for (let next = await this.#rest?.next(); next && !next.done; next = await this.#rest?.next())
        yield next.value
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new FillError('producer', message, { cause })
    } finally {
      signal.removeEventListener('abort', end)
      await this.#rest?.return?.()
    }
  }
}

/**
 * Reads an answer's beginning: its first byte if nothing is kept, else up to 4 MiB, so that an answer that ends by then can
 * be compared.
 * @returns undefined if the answer equals what is kept
 * @throws what reading it throws; the signal's reason
 */
export async function changedAnswer(
  answer: AsyncIterable<Buffer>,
  kept: Entry | undefined,
  signal: AbortSignal,
): Promise<ChangedAnswer | undefined> {
  const rest = answer[Symbol.asyncIterator]()
  const chunks: Buffer[] = []
  let length = 0
  while (length <= (kept ? comparedMax : 0)) {
    const next = await rest.next()
    if (next.done) {
      const isEqual = kept?.length === length && kept.sha256 === digestOf(chunks)
      return isEqual ? undefined : new ChangedAnswer(chunks, undefined)
    }
    if (next.value.length > 0) chunks.push(next.value)
    length += next.value.length
  }
  if (!signal.aborted) return new ChangedAnswer(chunks, rest)
  await rest.return?.()
  throw signal.reason
}

/** Returns the SHA-256 in hexadecimal of these chunks, one after the other. */
function digestOf(chunks: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}
