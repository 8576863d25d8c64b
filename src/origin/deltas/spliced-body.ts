import { createHash } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import {
  DamagedDelta,
  decodeHead,
  decodeRecord,
  deltaLengthMax,
  headSize,
  recordSize,
} from './delta-format.js'

/** Bytes that are passed on in one iteration of the event loop: less than two milliseconds, with their digest. */
const passedAtOnce = 1024 * 1024
/** Replacements that are read in one iteration: those that only remove bytes pass none on. */
const readAtOnce = 512

export interface SplicedBodyOptions {
  /** The earlier version. */
  readonly base: AsyncIterable<Buffer> | Iterable<Buffer>
  readonly baseLength: number
  readonly delta: AsyncIterable<Buffer>
  /** Of the result, in hexadecimal. */
  readonly sha256: string
}

/**
 * Yields the bytes that a delta makes of an earlier version, as they come. Their digest is known only after the last of them: they
 * are whole only if this ends without an error.
 * @throws DamagedDelta, or what reading throws
 */
export async function* splicedBody({
  base,
  baseLength,
  delta,
  sha256,
}: SplicedBodyOptions): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let left = passedAtOnce
  for await (const bytes of splice(new ByteReader(base), baseLength, new ByteReader(delta))) {
    hash.update(bytes)
    yield bytes
    left -= bytes.length
    if (left > 0) continue
    left = passedAtOnce
    await yieldToEventLoop()
  }
  if (hash.digest('hex') !== sha256) throw new DamagedDelta('its result has another digest')
}

async function* splice(base: ByteReader, baseLength: number, delta: ByteReader): AsyncGenerator<Buffer> {
  try {
    const head = decodeHead(await delta.read(headSize))
    if (head.baseLength !== baseLength) throw new DamagedDelta('it is one of other bytes')
    let at = 0
    let made = 0
    let read = headSize
    const count = (bytes: number): void => {
      made += bytes
      if (made > head.length) throw new DamagedDelta('its result is longer than it says')
    }
    for (let number = 0; number < head.count; number++) {
      const { start, end, length } = decodeRecord(await delta.read(recordSize))
      if (start < at || end < start || end > baseLength)
        throw new DamagedDelta('it replaces what is not there')
      // Four thousand million of these are a delta that is never read to its end, and makes nothing.
      if (start === end && length === 0) throw new DamagedDelta('it replaces nothing by nothing')
      read += recordSize + length
      if (read > deltaLengthMax) throw new DamagedDelta('it is longer than any')
      count(start - at + length)
      yield* base.take(start - at)
      await base.skip(end - start)
      yield* delta.take(length)
      at = end
      if (number % readAtOnce === readAtOnce - 1) await yieldToEventLoop()
    }
    count(baseLength - at)
    if (made < head.length) throw new DamagedDelta('its result is shorter than it says')
    yield* base.take(baseLength - at)
    await delta.requireEnd()
  } finally {
    await base.close()
    await delta.close()
  }
}

/** Reads numbers of bytes from chunks. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer> | Iterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(chunks: AsyncIterable<Buffer> | Iterable<Buffer>) {
    this.#chunks = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]()
  }

  /** Yields so many bytes. @throws DamagedDelta if there are fewer */
  async *take(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0;) {
      if (!(await this.#fill())) throw new DamagedDelta('it ends too early')
      const view = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(view.length)
      left -= view.length
      yield view
    }
  }

  async read(bytes: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for await (const part of this.take(bytes)) parts.push(part)
    return Buffer.concat(parts)
  }

  async skip(bytes: number): Promise<void> {
    const parts = this.take(bytes)
    while (!(await parts.next()).done);
  }

  async requireEnd(): Promise<void> {
    if (await this.#fill()) throw new DamagedDelta('it goes on after its end')
  }

  /** @returns whether there is a byte left */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done) return false
      this.#rest = next.value
    }
    return true
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}
