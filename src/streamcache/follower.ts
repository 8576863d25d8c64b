/** What a follower reads from; a GrowingFile is one. */
export interface Followed {
  /** Bytes at an offset: now, later, or null at the end. @throws FillError if the fill failed */
  read(offset: number): Buffer | null | Promise<Buffer | null>
  /** Total length in bytes once it is known. */
  readonly size: number | undefined
  /** A follower moved on. */
  advanced(follower: Follower): void
  /** A follower left. */
  left(follower: Follower): void
}

/**
 * A reader of one entry: starts at byte 0, goes at its own pace, holds one chunk at a time. Whoever opens a follower
 * closes it; leaving early hurts nobody else.
 */
export class Follower implements AsyncIterable<Buffer> {
  readonly #source: Followed
  #offset = 0
  #closed = false
  #interrupt: ((error: Error) => void) | undefined

  constructor(source: Followed) {
    this.#source = source
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#offset
  }

  /** Total length in bytes, once the fill has ended. */
  get size(): number | undefined {
    return this.#source.size
  }

  /**
   * The next bytes, or null at the sound end of the entry. Returns without a promise if they are in memory.
   * The buffer is shared with other followers: do not write to it.
   * @throws FillError (or rejects with it) if the fill failed; an error if the follower is closed, now or meanwhile
   */
  read(): Buffer | null | Promise<Buffer | null> {
    if (this.#closed) throw new Error('the follower is closed')
    const chunk = this.#source.read(this.#offset)
    if (!(chunk instanceof Promise)) return this.#advance(chunk)
    return new Promise((resolve, reject) => {
      this.#interrupt = reject
      chunk.then((later) => resolve(this.#advance(later)), reject)
    })
  }

  #advance(chunk: Buffer | null): Buffer | null {
    if (chunk && !this.#closed) {
      this.#offset += chunk.length
      this.#source.advanced(this)
    }
    return chunk
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#interrupt?.(new Error('the follower is closed'))
    this.#source.left(this)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for (let chunk = await this.read(); chunk; chunk = await this.read()) yield chunk
    } finally {
      this.close()
    }
  }
}
