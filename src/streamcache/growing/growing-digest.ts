import { createHash, type Hash } from 'node:crypto'

/** The SHA-256 of bytes that are appended; bytes that may never need one are not hashed until it begins. */
export class GrowingDigest {
  #hash: Hash | undefined
  #result: string | undefined

  /** @param begin false: begins later, see begin() */
  constructor(begin: boolean) {
    if (begin) this.begin([])
  }

  /** Returns a digest that has ended. */
  static of(sha256: string): GrowingDigest {
    const digest = new GrowingDigest(false)
    digest.#result = sha256
    return digest
  }

  /** Begins with all bytes so far. */
  begin(bytes: readonly Buffer[]): void {
    this.#hash = createHash('sha256')
    for (const each of bytes) this.#hash.update(each)
  }

  append(bytes: Buffer): void {
    this.#hash?.update(bytes)
  }

  /** Ends the digest, if it has begun. */
  end(): void {
    this.#result ??= this.#hash?.digest('hex')
    this.#hash = undefined
  }

  /** In hexadecimal; undefined: it has not ended. */
  get result(): string | undefined {
    return this.#result
  }

  /** The digest of the bytes so far, in hexadecimal. */
  get soFar(): string {
    return (this.#hash?.copy() ?? createHash('sha256')).digest('hex')
  }
}
