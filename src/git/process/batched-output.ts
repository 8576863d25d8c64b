import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { nextChunk } from './next-chunk.js'

/** Bytes of an output that are passed on as they come: short answers, and the first of long ones, lose no time. */
const promptBytes = 64 * 1024
/** Bytes that are worth a turn of their own through all who handle a chunk. */
const batchBytes = 32 * 1024
const ignore = (): void => {}

/** Milliseconds for which a smaller chunk waits for more. The pipe takes 200 KB meanwhile. */
const lingerMs = 1

/**
 * Yields an output to its end. Git writes a pack in packets of 8 KiB, and each chunk costs some 50 µs on its way to clients;
 * so once an output is long, chunks wait a moment for more. A process that writes fast is not slowed down: it fills a
 * whole batch in that time.
 */
export async function* batchedOutput(output: Readable): AsyncGenerator<Buffer> {
  // Without a listener, the output of a process that exits meanwhile would be dropped (child_process, flushStdio).
  output.on('readable', ignore)
  let bytes = 0
  try {
    for (let chunk = await nextChunk(output); chunk; chunk = await nextChunk(output)) {
      bytes += chunk.length
      yield chunk
      if (bytes < promptBytes || output.readableLength >= batchBytes) continue
      if (!output.readableEnded && !output.destroyed) await sleep(lingerMs)
    }
  } finally {
    output.off('readable', ignore)
  }
}
