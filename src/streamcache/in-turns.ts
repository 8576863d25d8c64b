import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Chunks of an entry that is in memory come without a wait. Whoever works through all of them gives the rest of the
 * program its turn after each.
 */
export async function* inTurns<T>(chunks: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const chunk of chunks) {
    yield chunk
    await nextTurn()
  }
}
