import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/** Work that yields wherever other work may run, and returns its result. */
export type Steps<Result> = Generator<undefined, Result>

/** Milliseconds after which the event loop gets a turn. */
const turn = 2

/** Does the work in turns of about 2 ms, between which the event loop runs. Resolves with its result. */
export async function inTurns<Result>(steps: Steps<Result>): Promise<Result> {
  for (let since = performance.now(); ;) {
    const step = steps.next()
    if (step.done) return step.value
    if (performance.now() - since < turn) continue
    await yieldToEventLoop()
    since = performance.now()
  }
}
