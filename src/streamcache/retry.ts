import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Producer } from './entry.js'
import { FillError } from './fill-error.js'

export interface RetryOptions {
  /** How often a source that fails is tried again; never if left out. */
  readonly fillRetries?: number
  /** Is this an error that another try might not give? Any may, if left out. */
  readonly retriable?: (error: unknown) => boolean
  /** Told of each error that is followed by another try. */
  readonly retried?: (error: unknown) => void
}

/** What a fill has produced so far. */
export interface Produced {
  readonly length: number
  /** SHA-256 in hexadecimal. */
  readonly sha256: string
}

/** Milliseconds before the first new try; twice as long before each that follows, up to a minute, more or less by chance. */
const firstDelayMs = 50
const maxDelayMs = 60_000

/**
 * A source that is tried again when it fails (R7). Followers may have read what it produced before: a new try has to
 * begin with exactly these bytes, which are skipped, so that whatever goes out is, from the first byte to the last, what
 * the last try said. What a new try says in another way fails the fill.
 */
export async function* withRetries(
  source: Producer,
  signal: AbortSignal,
  produced: () => Produced,
  { fillRetries = 0, retriable, retried }: RetryOptions,
): AsyncGenerator<Buffer> {
  for (let tries = 0; ; tries++) {
    try {
      yield* tries === 0 ? source(signal) : resume(source(signal), produced())
      return
    } catch (error) {
      const final = error instanceof FillError || retriable?.(error) === false
      if (tries >= fillRetries || signal.aborted || final) throw error
      retried?.(error)
    }
    const delayMs = Math.min(maxDelayMs, firstDelayMs * 2 ** tries)
    await sleep(delayMs * (0.5 + Math.random()), undefined, { signal })
  }
}

/** What comes after the bytes that are there already. @throws FillError if they are not repeated */
async function* resume(chunks: AsyncIterable<Buffer>, { length, sha256 }: Produced): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let left = length
  const check = (): void => {
    if (hash.digest('hex') !== sha256) throw new FillError('producer', 'a new try gave other bytes')
  }
  for await (const chunk of chunks) {
    const known = chunk.subarray(0, left)
    if (left > 0) {
      hash.update(known)
      left -= known.length
      if (left === 0) check()
    }
    if (known.length < chunk.length) yield chunk.subarray(known.length)
  }
  if (left > 0) throw new FillError('producer', 'a new try gave fewer bytes')
}
