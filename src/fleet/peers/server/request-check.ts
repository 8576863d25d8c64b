import type { IncomingMessage } from 'node:http'
import { isSameProof, sha256Of, type Prover } from '../protocol/proof.js'
import type { RequestHead } from '../protocol/request-head.js'
import { NonceSessions } from './nonce-sessions.js'

/** Finds out whether requests come from nodes of the fleet. */
export class RequestCheck {
  readonly #prover: Prover
  readonly #sessions = new NonceSessions()

  constructor(prover: Prover) {
    this.#prover = prover
  }

  /** The session that requests must name from now on. */
  get session(): string {
    return this.#sessions.current
  }

  /**
   * Returns why a request is not answered; undefined: it comes from a node of the fleet, for the first time. `ended`: it comes
   * from a node that must learn the present session.
   */
  faultOf(method: string, path: string, { proof, ...head }: RequestHead): string | undefined {
    const expected = this.#prover.request({ ...head, method, path })
    if (!isSameProof(expected, proof)) return 'its proof is wrong: is the fleet secret the same on all nodes?'
    // Without a secret, a proof proves nothing that could be repeated.
    if (!this.#prover.hasSecret) return undefined
    const taken = this.#sessions.take(head.session, head.nonce)
    if (taken === 'repeated') return 'it was sent before'
    return taken === 'ended' ? taken : undefined
  }
}

/** Reads the body that a head has announced. undefined: it is another one, or has not come to its end */
export async function bodyOf(
  request: IncomingMessage,
  { length, bodySha256 }: RequestHead,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  } catch {
    return undefined
  }
  const body = Buffer.concat(chunks)
  return body.length === length && sha256Of(body) === bodySha256 ? body : undefined
}
