import { setTimeout as sleep } from 'node:timers/promises'
import { FillError } from './fill-error.js'
import type { Produce, Produced } from './producer.js'
import { resume } from './resume.js'

export interface RetryOptions {
  /** How often a producer that fails is run again; never if left out. */
  readonly fillRetries?: number
  /** Does a producer make the same bytes again? If not (false), it is run again only before its first byte. */
  readonly repeatable?: boolean
  /** Could another attempt succeed after this error? Always true if left out. */
  readonly retriable?: (error: unknown) => boolean
  /** Called with each error that is followed by another attempt. */
  readonly retried?: (error: unknown) => void
}

/** Milliseconds before the first retry. The delay doubles up to the maximum, and varies at random by half. */
const firstDelayMs = 50
const maxDelayMs = 60_000

/**
 * Runs a producer, and runs it again when it fails (R7). Followers may have read what an earlier attempt produced, so a
 * retry has to begin with exactly these bytes. They are skipped: what goes out is, from the first byte to the last, the
 * output of the last attempt. A retry that produces other bytes fails the fill.
 */
export async function* withRetries<T extends Produce>(
  producer: (signal: AbortSignal) => AsyncIterable<T>,
  signal: AbortSignal,
  produced: () => Produced | Promise<Produced>,
  { fillRetries = 0, repeatable = true, retriable, retried }: RetryOptions,
): AsyncGenerator<T | Buffer> {
  for (let retries = 0; ; retries++) {
    try {
      yield* retries === 0 ? producer(signal) : resume(producer(signal), await produced())
      return
    } catch (error) {
      const final = error instanceof FillError || retriable?.(error) === false
      const begun = !repeatable && (await produced()).length > 0
      if (retries >= fillRetries || signal.aborted || final || begun) throw error
      retried?.(error)
    }
    const delayMs = Math.min(maxDelayMs, firstDelayMs * 2 ** retries)
    await sleep(delayMs * (0.5 + Math.random()), undefined, { signal })
  }
}
