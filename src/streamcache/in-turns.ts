import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/**
 * Yields the chunks, and after each lets the event loop go on. The chunks of an entry in memory come without a wait, so a
 * consumer that processes all of them in one loop would block the process.
 */
export async function* inTurns<T>(chunks: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const chunk of chunks) {
    yield chunk
    await yieldToEventLoop()
  }
}
