import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { parseCredentials } from './credentials.js'
import { BadLine, linesOf } from './names.js'

/** Who a token is for, and its hash. */
interface Known {
  readonly name: string
  readonly digest: Buffer
}

/** Under a key of this process, so that how far a lookup came tells nobody anything. */
const processKey = randomBytes(32)
const keyed = (digest: Buffer): string => createHmac('sha256', processKey).update(digest).digest('base64')

/**
 * Bearer tokens, kept as SHA-256: long random strings need no slow hash. A file has `name:HASH` a line; a name may have
 * several tokens, so that a new one can be handed out before the old one goes.
 */
export class Tokens {
  readonly #known: ReadonlyMap<string, Known>

  private constructor(known: ReadonlyMap<string, Known>) {
    this.#known = known
  }

  /** @throws BadLine, or the system's error */
  static read(path: string): Tokens {
    const known = new Map<string, Known>()
    for (const { line, number } of linesOf(path)) {
      const [, name, hash] = /^([^\p{Cc}:]{1,256}):([0-9a-fA-F]{64})$/u.exec(line) ?? []
      if (name === undefined || hash === undefined) {
        throw new BadLine(path, number, 'not a name, a colon and a SHA-256 of 64 hexadecimal digits')
      }
      const digest = Buffer.from(hash, 'hex')
      known.set(keyed(digest), { name, digest })
    }
    return new Tokens(known)
  }

  /** @returns the name that the token is for; undefined: it is nobody's */
  nameOf(token: string): string | undefined {
    const digest = createHash('sha256').update(token).digest()
    const found = this.#known.get(keyed(digest))
    return found && timingSafeEqual(found.digest, digest) ? found.name : undefined
  }

  /** Does an Authorization header bear one of them (RFC 6750)? */
  matchAnyOf(authorization: string | string[] | undefined): boolean {
    const credentials = parseCredentials(authorization)
    return credentials?.scheme === 'bearer' && this.nameOf(credentials.token) !== undefined
  }
}
