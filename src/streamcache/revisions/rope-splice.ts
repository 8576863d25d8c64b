import { allocate } from '../memory/allocate.js'
import type { Splice } from '../memory/splice.js'

/** Pieces below this many bytes are merged, up to `chunkSize`. */
const smallChunk = 32 * 1024
const chunkSize = 64 * 1024

/**
 * Replaces ranges of bytes. The chunks outside of them stay as they are, or views of them.
 * @throws RangeError unless the ranges are in order and inside
 */
export function spliceChunks(chunks: readonly Buffer[], splices: readonly Splice[]): Buffer[] {
  const result: Buffer[] = []
  let index = 0
  let start = 0
  /** Copies or skips what lies before an offset. */
  let at = 0
  const advance = (to: number, keep: boolean): void => {
    if (to < at) throw new RangeError(`a splice at ${to} overlaps the one before`)
    while (at < to) {
      const chunk = chunks[index]
      if (!chunk) throw new RangeError(`a splice at ${to} is behind the end`)
      const end = Math.min(to, start + chunk.length)
      if (keep) result.push(end - at === chunk.length ? chunk : chunk.subarray(at - start, end - start))
      at = end
      if (end < start + chunk.length) continue
      start += chunk.length
      index++
    }
  }
  for (const splice of splices) {
    advance(splice.start, true)
    advance(splice.end, false)
    for (const bytes of splice.bytes) if (bytes.length > 0) result.push(bytes)
  }
  const first = chunks[index]
  if (first && at > start) {
    result.push(first.subarray(at - start))
    index++
  }
  for (; index < chunks.length; index++) result.push(chunks[index] as Buffer)
  return result
}

/** Merges small chunks with those beside them, so that their number stays about the length by 64 KiB. */
export function mergeSmallChunks(chunks: readonly Buffer[]): Buffer[] {
  const result: Buffer[] = []
  let run: Buffer[] = []
  let bytes = 0
  const flush = (): void => {
    if (run.length === 1) result.push(run[0] as Buffer)
    else if (run.length > 1) result.push(joined(run, bytes))
    run = []
    bytes = 0
  }
  for (const chunk of chunks) {
    const isSmall = chunk.length < smallChunk || (bytes > 0 && bytes < smallChunk)
    if (!isSmall || bytes + chunk.length > 2 * chunkSize) flush()
    run.push(chunk)
    bytes += chunk.length
    if (bytes >= chunkSize) flush()
  }
  flush()
  return result
}

function joined(parts: readonly Buffer[], length: number): Buffer {
  const result = allocate(length)
  let at = 0
  for (const part of parts) at += part.copy(result, at)
  return result
}
