/** What a follower reads from; a GrowingFile is one. */
export interface Followed {
  /**
   * Returns bytes at an offset, at once or later, or null at the end.
   * @throws FillError if the fill failed
   */
  read(offset: number): Buffer | null | Promise<Buffer | null>
  /** Total length in bytes, once it is known. */
  readonly size: number | undefined
  /** Called when a follower has read further. */
  advanced(follower: Follower): void
  /** Called when a follower is closed. */
  detach(follower: Follower): void
}

/**
 * A reader of one entry. It starts at byte 0, reads at its own pace, and holds one chunk at a time. The code that opens a
 * follower must close it; closing it early does not affect other followers.
 */
export class Follower implements AsyncIterable<Buffer> {
  readonly #source: Followed
  #offset = 0
  #closed = false
  /** Why it was closed, if not by its reader. */
  #reason: Error | undefined
  /** Rejects the read that is pending. */
  #interrupt: ((error: Error) => void) | undefined

  constructor(source: Followed) {
    this.#source = source
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#offset
  }

  /** Total length in bytes, once the fill has succeeded. */
  get size(): number | undefined {
    return this.#source.size
  }

  /** Does its reader wait for bytes? */
  get waiting(): boolean {
    return this.#interrupt !== undefined && !this.#closed
  }

  /**
   * Returns the next bytes, or null at the end of a complete entry. Returns without a promise if they are in memory.
   * The buffer is shared with other followers: do not write to it.
   * @throws FillError (or rejects with it) if the fill failed; an error if the follower is closed, now or meanwhile
   */
  read(): Buffer | null | Promise<Buffer | null> {
    if (this.#closed) throw this.#closedError()
    const chunk = this.#source.read(this.#offset)
    if (!(chunk instanceof Promise)) return this.#advance(chunk)
    return new Promise((resolve, reject) => {
      this.#interrupt = reject
      chunk.then((later) => {
        this.#interrupt = undefined
        resolve(this.#advance(later))
      }, reject)
    })
  }

  #closedError(): Error {
    return this.#reason ?? new Error('the follower is closed')
  }

  #advance(chunk: Buffer | null): Buffer | null {
    if (chunk && !this.#closed) {
      this.#offset += chunk.length
      this.#source.advanced(this)
    }
    return chunk
  }

  /**
   * Detaches from the entry; a pending read() rejects, and later ones throw. Has no effect when repeated.
   * @param reason what read() throws then; another error says that the follower is closed
   */
  close(reason?: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#reason = reason
    this.#interrupt?.(this.#closedError())
    this.#source.detach(this)
  }

  /** Yields all bytes that are left, then closes the follower; also when the loop ends early. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for (let chunk = await this.read(); chunk; chunk = await this.read()) yield chunk
    } finally {
      this.close()
    }
  }
}
