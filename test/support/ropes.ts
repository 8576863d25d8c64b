import type { Rope as RopeType } from '../../src/streamcache/index.js'
import { Revision, Rope, type Entry, type Fill, type StreamCache } from '../../src/streamcache/index.js'
import { bytesOf } from './producers.js'
import { yes } from './stream-cache.js'

/** Returns a rope of lines as those of a ref listing, in chunks of about that many bytes. */
export function listingRope(lines: number, chunkSize = 64 * 1024): RopeType {
  const chunks: Buffer[] = []
  let chunk: string[] = []
  let bytes = 0
  for (let line = 0; line < lines; line++) {
    const text = lineOf(line, 'a')
    chunk.push(text)
    bytes += text.length
    if (bytes < chunkSize && line < lines - 1) continue
    chunks.push(Buffer.from(chunk.join('')))
    chunk = []
    bytes = 0
  }
  return new Rope(chunks)
}

const lineOf = (line: number, digit: string): string =>
  `0045${digit.repeat(40)} refs/heads/b${String(line).padStart(8, '0')}\n`

export const lineLength = lineOf(0, 'a').length

/** Returns the rope with another digit in one line; all chunks but one are the same. */
export function changeLine(rope: RopeType, line: number, digit: string): RopeType {
  const at = line * lineLength
  let start = 0
  return new Rope(
    rope.chunks.map((chunk) => {
      const from = at - start
      start += chunk.length
      if (from < 0 || from >= chunk.length) return chunk
      const copy = Buffer.from(chunk)
      copy.write(lineOf(line, digit), from, 'latin1')
      return copy
    }),
  )
}

export const bytesOfRope = (rope: RopeType): Buffer => Buffer.concat(rope.chunks)

/** Returns a rope of random-looking bytes in chunks of these sizes. */
export function ropeOf(stream: number, ...sizes: number[]): RopeType {
  let at = 0
  return new Rope(
    sizes.map((size) => {
      const chunk = Buffer.from(bytesOf(stream, at, size))
      at += size
      return chunk
    }),
  )
}

/** Returns the rope with one chunk replaced, removed (no bytes), or inserted before. */
export function editRope(rope: RopeType, index: number, remove: number, ...chunks: Buffer[]): RopeType {
  const result = [...rope.chunks]
  result.splice(index % (result.length + 1), remove, ...chunks.filter(({ length }) => length > 0))
  return new Rope(result)
}

/** Fills a key with a revision; it is committed if nothing else has happened. */
export function revise(cache: StreamCache, key: string, token: string, rope: RopeType, base?: Entry): Fill {
  const revision = new Revision(rope, base && { entry: base, rope: base.rope ?? rope })
  return reviseWith(cache, key, token, revision)
}

export function reviseWith(cache: StreamCache, key: string, token: string, revision: Revision): Fill {
  async function* producer(): AsyncGenerator<Revision> {
    yield revision
  }
  return cache.fill(key, token, producer, yes)
}
