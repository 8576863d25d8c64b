import { SpanStatusCode, type Span, type Tracer } from '@opentelemetry/api'
import { reportTrace2 } from './trace2/report.js'
import type { Trace2File } from './trace2/trace2-files.js'

/** How a process ended; `code` is undefined if a signal ended it, or it never started. */
interface ProcessEnding {
  readonly code: number | undefined
}

/** One Git process of a sampled request, and what Git itself tells of its work (trace2). */
export class ProcessTrace {
  readonly #tracer: Tracer
  readonly #span: Span
  readonly #file: Trace2File | undefined

  /** @param file where Git writes its trace; undefined: nowhere */
  constructor(tracer: Tracer, span: Span, file: Trace2File | undefined) {
    this.#tracer = tracer
    this.#span = span
    this.#file = file
  }

  /** What the environment of the process needs besides. */
  get environment(): NodeJS.ProcessEnv {
    return this.#file ? { GIT_TRACE2_EVENT: this.#file.path } : {}
  }

  /** Ends the span, after what Git has told was read. @param wasAsked to end, so that it is no failure. Never rejects */
  async ended({ code }: ProcessEnding, wasAsked: boolean): Promise<void> {
    const span = this.#span
    const endedAt = Date.now()
    if (code !== undefined) span.setAttribute('process.exit.code', code)
    if (wasAsked) span.setAttribute('refstream.git.stopped', true)
    else if (code !== 0) {
      span.setAttribute('error.type', code === undefined ? 'no_exit_code' : 'exit_code')
      span.setStatus({ code: SpanStatusCode.ERROR })
    }
    if (this.#file) span.setAttributes(await reportTrace2(this.#tracer, span, this.#file, endedAt))
    span.end(endedAt)
  }
}
