import type { OpenSpan } from './open-span.js'
import type { Scope } from './scope.js'

/** Runs work in a scope, as Tracing does. */
type Within = <T>(scope: Scope | undefined, work: () => T) => T

/** An entry that is being filled, or was. */
interface FilledEntry {
  /** In bytes. */
  readonly length: number
}

export interface FillTraceOptions {
  readonly within: Within
  /** Of the fill; of the request that has started it, if that is not sampled. */
  readonly scope: Scope | undefined
  /** undefined: not sampled. */
  readonly span: OpenSpan | undefined
  /** Remembers the span for those who will wait for the entry. */
  readonly note: (entry: object) => void
}

/** One fill. What is done for it is part of the trace of the request that has started it, whoever waits for it. */
export class FillTrace {
  readonly #options: FillTraceOptions

  constructor(options: FillTraceOptions) {
    this.#options = options
  }

  /** Runs a part of its work. */
  within<T>(work: () => T): T {
    const { within, scope } = this.#options
    return within(scope, work)
  }

  /** Returns a producer of which each step is work of the fill. */
  producing<T>(
    producer: (signal: AbortSignal) => AsyncIterable<T>,
  ): (signal: AbortSignal) => AsyncIterable<T> {
    return (signal) => {
      const steps = this.within(() => producer(signal)[Symbol.asyncIterator]())
      const iterator: AsyncIterableIterator<T> = {
        next: () => this.within(() => steps.next()),
        return: (value) =>
          this.within(() => steps.return?.(value)) ?? Promise.resolve({ done: true, value: undefined }),
        [Symbol.asyncIterator]: () => iterator,
      }
      return iterator
    }
  }

  /** Has those who wait for an entry from now on refer to this fill. */
  makes(entry: object): void {
    this.#options.note(entry)
  }

  /** Ends the span with the fill of an entry. @param ended resolves with the result */
  endsWith(entry: FilledEntry, ended: Promise<string>): void {
    const { span } = this.#options
    if (span) void ended.then((result) => this.end(result, entry.length))
  }

  /** Ends the span. @param bytes that were made */
  end(result: string, bytes: number): void {
    const { span } = this.#options
    span?.set({ 'refstream.fill.result': result, 'refstream.fill.bytes': bytes })
    if (result === 'failed') span?.fail('fill_failed')
    else span?.end()
  }

  /** Ends the span as failed. @param type one of few values */
  fail(type: string): void {
    this.#options.span?.fail(type)
  }
}
