import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { ControlKind } from './frames.js'

/** What the proof of a request covers. */
export interface ProvenRequest {
  readonly method: string
  readonly path: string
  /** Names of the asking and of the asked node. */
  readonly from: string
  readonly to: string
  /** See server/nonce-sessions.ts. */
  readonly session: string
  readonly nonce: string
  /** SHA-256 of the body, in hexadecimal. */
  readonly bodySha256: string
  /** SHA-256 of the bytes that the asking node has; undefined: none. */
  readonly have: string | undefined
}

/** Fewest characters of a fleet secret. */
const secretMin = 16

/**
 * Proves with a secret, which all nodes of a fleet know and which is never sent, that requests and answers come from nodes of
 * the fleet (HMAC-SHA256).
 *
 * It protects against strangers that can connect to a node, that listen at a node's address, that change what is sent, or that
 * send again what they have recorded: they get no answer, and can give none. A stranger that can change what is sent may add
 * bytes behind an answer's head; they never end as a whole answer, but those that follow the entry have received them. It
 * does not protect against reading along, nor against another member: all know the same secret. Only TLS keeps what is sent
 * from being read or changed.
 *
 * Without a secret, on a Unix socket or where TLS certificates are required, proofs are checksums.
 */
export class Prover {
  readonly hasSecret: boolean
  readonly #key: string

  /** @throws RangeError if the secret is shorter than 16 characters */
  constructor(secret: string | undefined) {
    if (secret !== undefined && secret.length < secretMin) {
      throw new RangeError(`the fleet secret has fewer than ${secretMin} characters`)
    }
    this.hasSecret = secret !== undefined
    this.#key = secret ?? ''
  }

  request({ method, path, from, to, session, nonce, bodySha256, have = '' }: ProvenRequest): Buffer {
    return this.#over(['request', method, path, from, to, session, nonce, bodySha256, have])
  }

  /** @param request the proof of the request, which is different each time */
  answer(request: Buffer, kind: ControlKind, json: Buffer): Buffer {
    return this.#over(['answer', request, kind, json])
  }

  #over(fields: readonly (string | Buffer)[]): Buffer {
    const hmac = createHmac('sha256', this.#key)
    for (const field of fields) {
      const bytes = Buffer.from(field)
      // With lengths, so that different fields are different bytes.
      hmac.update(`${bytes.length}:`).update(bytes)
    }
    return hmac.digest()
  }
}

/** Compares proofs in a time that tells nothing of where they differ. */
export const isSameProof = (one: Buffer, other: Buffer): boolean =>
  one.length === other.length && timingSafeEqual(one, other)

/** In hexadecimal. */
export const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
