import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { parseCredentials } from './credentials.js'
import { BadLine, linesOf } from './names.js'

interface KnownToken {
  readonly name: string
  readonly digest: Buffer
}

/** Hashes digests again under a random key, so that the time of a lookup reveals nothing about the stored digests. */
const processKey = randomBytes(32)
const keyed = (digest: Buffer): string => createHmac('sha256', processKey).update(digest).digest('base64')

/**
 * Bearer tokens, stored as SHA-256: long random strings need no slow hash. Each line of the file is `name:HASH`. A name may
 * have several tokens, so that a new one can be distributed before the old one is removed.
 */
export class Tokens {
  readonly #known: ReadonlyMap<string, KnownToken>

  private constructor(known: ReadonlyMap<string, KnownToken>) {
    this.#known = known
  }

  /** @throws BadLine, or the system's error */
  static read(path: string): Tokens {
    const known = new Map<string, KnownToken>()
    for (const { line, number } of linesOf(path)) {
      const [, name, hash] = /^([^\p{Cc}:]{1,256}):([0-9a-fA-F]{64})$/u.exec(line) ?? []
      if (name === undefined || hash === undefined) {
        throw new BadLine(path, number, 'expected a name, a colon and a SHA-256 of 64 hexadecimal digits')
      }
      const digest = Buffer.from(hash, 'hex')
      known.set(keyed(digest), { name, digest })
    }
    return new Tokens(known)
  }

  /** Returns the name that a token belongs to; undefined: it is not among them. */
  nameOf(token: string): string | undefined {
    const digest = createHash('sha256').update(token).digest()
    const found = this.#known.get(keyed(digest))
    return found && timingSafeEqual(found.digest, digest) ? found.name : undefined
  }

  /** Returns whether an Authorization header holds one of the tokens (RFC 6750). */
  matchAnyOf(authorization: string | string[] | undefined): boolean {
    const credentials = parseCredentials(authorization)
    return credentials?.scheme === 'bearer' && this.nameOf(credentials.token) !== undefined
  }
}
