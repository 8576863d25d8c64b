import { createHash } from 'node:crypto'
import { encodeDelta } from '../../src/origin/deltas/delta-format.js'
import { replacementsBetween } from '../../src/origin/deltas/replacements.js'
import { splicedBody } from '../../src/origin/deltas/spliced-body.js'

export const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Returns the delta that makes one version of some bytes another one; undefined: it would be longer than `most`. */
export async function deltaOfParts(
  before: readonly Buffer[],
  after: readonly Buffer[],
  most = Infinity,
): Promise<Buffer | undefined> {
  const replacements = await replacementsBetween(before, after, most)
  const [baseLength, length] = [before, after].map((parts) => Buffer.concat(parts).length) as [number, number]
  return replacements && encodeDelta({ baseLength, length }, replacements)
}

/** Cuts bytes into parts of so many. */
export function cut(bytes: Buffer, size: number): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size))
  return parts
}

/** Applies a delta, both in parts of so many bytes. */
export async function applied(base: Buffer, delta: Buffer, sha256: string, size = 1000): Promise<Buffer> {
  const made: Buffer[] = []
  const parts = splicedBody({
    ...{ base: cut(base, size), baseLength: base.length, sha256 },
    delta: (async function* () {
      yield* cut(delta, size)
    })(),
  })
  for await (const part of parts) made.push(part)
  return Buffer.concat(made)
}
