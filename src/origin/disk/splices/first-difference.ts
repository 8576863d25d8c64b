import { printableLine } from '../../faults/printable-line.js'
import type { Difference } from './splice-reports.js'

/** Bytes before and behind the first one that differs. */
const shownBefore = 60
const shownBehind = 140

/** Compares two streams of bytes. @returns undefined: they are equal. @throws what they throw */
export async function firstDifference(
  spliced: AsyncIterable<Buffer>,
  listed: AsyncIterable<Buffer>,
): Promise<Difference | undefined> {
  const left = new ChunkReader(spliced)
  const right = new ChunkReader(listed)
  try {
    for (let offset = 0; ;) {
      const [a, b] = [await left.peek(), await right.peek()]
      if (!a && !b) return undefined
      const length = Math.min(a?.length ?? 0, b?.length ?? 0)
      const isEqual = length > 0 && a!.compare(b!, 0, length, 0, length) === 0
      if (!isEqual) {
        const at = differsAt(a, b)
        return { offset: offset + at, spliced: shown(a, at), listed: shown(b, at) }
      }
      left.take(length)
      right.take(length)
      offset += length
    }
  } finally {
    await left.close()
    await right.close()
  }
}

function differsAt(a: Buffer = Buffer.alloc(0), b: Buffer = Buffer.alloc(0)): number {
  let at = 0
  while (at < a.length && at < b.length && a[at] === b[at]) at++
  return at
}

const shown = (bytes: Buffer | undefined, at: number): string =>
  bytes
    ? printableLine(
        bytes.toString('latin1', Math.max(0, at - shownBefore), at + shownBehind).replaceAll('\n', ' '),
      )
    : '(its end)'

/** Reads a stream of bytes in pieces of any length. */
class ChunkReader {
  readonly #chunks: AsyncIterator<Buffer>
  #chunk: Buffer | undefined

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Returns the next bytes, at least one; undefined: there are none. */
  async peek(): Promise<Buffer | undefined> {
    while (!this.#chunk || this.#chunk.length === 0) {
      const next = await this.#chunks.next()
      if (next.done) return undefined
      this.#chunk = next.value
    }
    return this.#chunk
  }

  /** Skips bytes of what peek() has returned. */
  take(length: number): void {
    this.#chunk = this.#chunk?.subarray(length)
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}
