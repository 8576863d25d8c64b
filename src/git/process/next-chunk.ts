import type { Readable } from 'node:stream'

/** What a stream has next, without taking hold of the stream for good; null at its end, also if that comes early. */
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

/** An error closes the stream; listened to, it does not end the program. */
const events = ['readable', 'end', 'close', 'error'] as const
