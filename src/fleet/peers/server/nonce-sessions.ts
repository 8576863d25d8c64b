import { randomBytes } from 'node:crypto'

interface Session {
  readonly id: string
  readonly nonces: Set<string>
}

/**
 * Finds requests that are sent again by a stranger that has recorded them. A request names a session of the asked node and a
 * nonce: within a session each nonce counts once. So that a bounded number of nonces is kept, a session ends after so many;
 * the one before stays in force for requests that are on their way. A node that names another session, as each does at first,
 * learns the present one and asks again: a request recorded before an end, or before the node has started, is of no use.
 */
export class NonceSessions {
  readonly #noncesMax: number
  #current = newSession()
  #previous = newSession()

  /** @param noncesMax nonces of one session; those of two are kept */
  constructor(noncesMax = 16_384) {
    this.#noncesMax = noncesMax
  }

  /** The present session. */
  get current(): string {
    return this.#current.id
  }

  /** Takes a nonce of a request whose proof is right. `ended`: no such session is in force. */
  take(sessionId: string, nonce: string): 'new' | 'repeated' | 'ended' {
    const session = [this.#current, this.#previous].find(({ id }) => id === sessionId)
    if (!session) return 'ended'
    if (session.nonces.has(nonce)) return 'repeated'
    // The one before is bounded too.
    if (session.nonces.size >= 2 * this.#noncesMax) return 'ended'
    session.nonces.add(nonce)
    if (session === this.#current && session.nonces.size >= this.#noncesMax) {
      this.#previous = session
      this.#current = newSession()
    }
    return 'new'
  }
}

const newSession = (): Session => ({ id: randomBytes(16).toString('hex'), nonces: new Set() })
