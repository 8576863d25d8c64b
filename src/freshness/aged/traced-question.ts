import type { FillTrace } from '../../telemetry/tracing/fill-trace.js'
import { errorTypeOf } from '../../telemetry/tracing/error-type.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import type { AgedRequest } from './aged-request.js'

/**
 * Returns a request whose question to the origin is traced as a fill, to the end of its answer: below the work under way, or
 * for an owed refresh as a trace of its own.
 */
export function tracedQuestion(request: AgedRequest, kind: string, tracing: Tracing): AgedRequest {
  const scope = tracing.present
  let fill: FillTrace | undefined
  return {
    ...request,
    ask: async (kept, signal, cause, elsewhere) => {
      const asking = (fill = tracing.fill(scope, kind, cause === 'refresh'))
      // If the answer is no other, those that wait are given what is kept.
      if (kept) asking.makes(kept)
      try {
        const found = await asking.within(() => request.ask(kept, signal, cause, elsewhere))
        const { answer, ageMs } =
          typeof found === 'object' && 'answer' in found ? found : { answer: found, ageMs: 0 }
        if (answer !== 'unchanged') return { answer: toItsEnd(answer, asking), ageMs }
        asking.end('unchanged', 0)
        return { answer, ageMs }
      } catch (error) {
        asking.fail(errorTypeOf(error))
        throw error
      }
    },
    fillStarted: (running) => {
      fill?.makes(running.entry)
      request.fillStarted?.(running)
    },
  }
}

/** Ends a fill with its answer, whether that is read to its end or not. */
async function* toItsEnd(answer: AsyncIterable<Buffer>, fill: FillTrace): AsyncGenerator<Buffer> {
  let bytes = 0
  let isWhole = false
  try {
    for await (const chunk of answer) {
      bytes += chunk.length
      yield chunk
    }
    isWhole = true
  } finally {
    fill.end(isWhole ? 'whole' : 'failed', bytes)
  }
}
