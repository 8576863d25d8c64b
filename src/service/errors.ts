import { Overloaded } from '../limits/overloaded.js'
import { FillError } from '../streamcache/index.js'

/** There is no such repository under the root, or it is not exported. Doors answer as Git does: 404, nothing more. */
export class RepositoryNotFound extends Error {
  override readonly name = 'RepositoryNotFound'
}

/** The repository's configuration does not offer this service. Doors answer as Git does: 403, nothing more. */
export class ServiceDisabled extends Error {
  override readonly name = 'ServiceDisabled'
}

/** A client asks for terms of its own that it may not have. Doors say why. */
export class BadTerms extends Error {
  override readonly name = 'BadTerms'
}

/** The last tries to answer this failed; the next is not due yet. Doors answer 503 with Retry-After. */
export class BackingOff extends Error {
  override readonly name = 'BackingOff'
  /** Until the next try, in milliseconds. */
  readonly retryAfterMs: number

  constructor(retryAfterMs: number, cause: unknown) {
    super('Git could not answer for this repository a moment ago; see the log of refstream for why', {
      cause,
    })
    this.retryAfterMs = retryAfterMs
  }
}

/** Why a request failed: of a fill that was shed, or that its key's back-off forbids, that. */
export function causeOf(error: unknown): unknown {
  const cause = error instanceof FillError ? error.cause : undefined
  return cause instanceof Overloaded || cause instanceof BackingOff ? cause : error
}

/** Might another try at once not fail so? */
export const retriable = (error: unknown): boolean =>
  !(error instanceof Overloaded || error instanceof BackingOff || error instanceof RepositoryNotFound)
