import { createHash } from 'node:crypto'
import { FillError } from './fill-error.js'
import type { Produce, Produced } from './producer.js'
import { Revision } from './revision.js'

/**
 * Yields the bytes of a new run that follow those produced before (R7), and its empty chunks.
 * @throws FillError if the run does not begin with exactly the bytes produced before
 */
export async function* resume(
  chunks: AsyncIterable<Produce>,
  { length, sha256 }: Produced,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let left = length
  const check = (): void => {
    if (hash.digest('hex') !== sha256) throw new FillError('producer', 'a retry produced other bytes')
  }
  for await (const chunk of bytesOf(chunks)) {
    const known = chunk.subarray(0, left)
    if (left > 0) {
      hash.update(known)
      left -= known.length
      if (left === 0) check()
    }
    if (known.length < chunk.length || chunk.length === 0) yield chunk.subarray(known.length)
  }
  if (left > 0) throw new FillError('producer', 'a retry produced fewer bytes')
}

/** Yields the bytes of a Revision one chunk after another: followers have read what came before it. */
async function* bytesOf(chunks: AsyncIterable<Produce>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    if (chunk instanceof Revision) yield* chunk.rope.chunks
    else yield chunk
  }
}
