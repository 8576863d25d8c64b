import type { Readable } from 'node:stream'

/**
 * Resolves with the next chunk of a stream, and leaves no listener on the stream; null at its end, also if the stream was
 * destroyed before that.
 */
export async function nextChunk(stream: Readable): Promise<Buffer | null> {
  for (;;) {
    const chunk = stream.read() as Buffer | null
    if (chunk !== null || stream.readableEnded || stream.destroyed) return chunk
    await new Promise<void>((resolve) => {
      const go = (): void => {
        for (const event of events) stream.off(event, go)
        resolve()
      }
      for (const event of events) stream.on(event, go)
    })
  }
}

/** An error closes the stream; without a listener for it, it would end the program. */
const events = ['readable', 'end', 'close', 'error'] as const
