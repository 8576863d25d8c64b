import { createHash } from 'node:crypto'
import type { ProtocolVersion } from './version.js'

/**
 * Makes the digest of a request: SHA-256 of its version and its packets as they are, with some replaced or left out. Each
 * packet begins with its length, so that no two sequences of packets make the same bytes.
 */
export class FetchDigest {
  readonly #hash = createHash('sha256')
  readonly #body: Buffer
  #from = 0

  constructor(body: Buffer, version: ProtocolVersion) {
    this.#body = body
    this.#hash.update(`v${version} `)
  }

  /** Puts bytes in the place of a packet of the body; none: leaves it out. */
  replace(start: number, end: number, by?: Buffer): void {
    this.#keepUntil(start)
    if (by) this.#hash.update(by)
    this.#from = end
  }

  #keepUntil(end: number): void {
    if (end > this.#from) this.#hash.update(this.#body.subarray(this.#from, end))
  }

  /** Returns the digest in base64url. */
  end(): string {
    this.#keepUntil(this.#body.length)
    return this.#hash.digest('base64url')
  }
}
