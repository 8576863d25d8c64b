import { createHash } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/** Bytes that are hashed in one iteration of the event loop: less than a millisecond. */
const hashedAtOnce = 1024 * 1024

/** Returns the SHA-256 of bytes that are in memory, in hexadecimal, without blocking the event loop. */
export async function digestOf(chunks: Iterable<Buffer>): Promise<string> {
  const hash = createHash('sha256')
  let hashed = 0
  for (const chunk of chunks) {
    hash.update(chunk)
    hashed += chunk.length
    if (hashed < hashedAtOnce) continue
    hashed = 0
    await yieldToEventLoop()
  }
  return hash.digest('hex')
}
