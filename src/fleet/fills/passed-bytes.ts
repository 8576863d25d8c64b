import { GrowingDigest, resume, type Produce, type Produced } from '../../streamcache/index.js'

/** What one fill has passed on of streams that may break, so that another one can go on there (R7). */
export class PassedBytes implements Produced {
  #length = 0
  readonly #digest: GrowingDigest

  /** @param repeatable false: another stream makes other bytes, so that no digest is needed */
  constructor(repeatable: boolean) {
    this.#digest = new GrowingDigest(repeatable)
  }

  get length(): number {
    return this.#length
  }

  get sha256(): string {
    return this.#digest.soFar
  }

  /** Yields the bytes of a last stream that follow those passed on. @throws FillError if it begins with others */
  rest<T extends Produce>(chunks: AsyncIterable<T>): AsyncIterable<T | Buffer> {
    if (this.#length === 0) return chunks
    return resume(chunks, { length: this.#length, sha256: this.sha256 })
  }

  /** As rest(), for a stream that may break: its bytes are noted. */
  async *pass(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of this.rest(chunks)) {
      this.#digest.append(chunk)
      this.#length += chunk.length
      yield chunk
    }
  }
}
