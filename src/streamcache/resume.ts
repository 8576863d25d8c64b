import { createHash } from 'node:crypto'
import { FillError } from './fill-error.js'
import type { Produced } from './producer.js'

/**
 * Yields the bytes of a new run that follow those produced before (R7), and its empty chunks.
 * @throws FillError if the run does not begin with exactly the bytes produced before
 */
export async function* resume(
  chunks: AsyncIterable<Buffer>,
  { length, sha256 }: Produced,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let left = length
  const check = (): void => {
    if (hash.digest('hex') !== sha256) throw new FillError('producer', 'a retry produced other bytes')
  }
  for await (const chunk of chunks) {
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
