import { Overloaded } from '../limits/overloaded.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import { RepositoryExchanged } from '../git/state/reopen-repository.js'
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
export class InvalidGitOverrides extends Error {
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

/** Errors that say the same of a request as of the fill that it follows. */
const ofFills = [Overloaded, BackingOff, RepositoryExchanged, FilesystemUnanswered]

/** Why a request failed: of a fill that was shed, or that its key's back-off forbids, that. */
export function causeOf(error: unknown): unknown {
  const cause = error instanceof FillError ? error.cause : undefined
  return ofFills.some((known) => cause instanceof known) ? cause : error
}

/** Might another try of the same fill at once not fail so? */
export const retriable = (error: unknown): boolean =>
  !(error instanceof RepositoryNotFound || ofFills.some((known) => error instanceof known))

/** Rounds of a request whose repository is exchanged while it is answered. */
const roundsMax = 4

/**
 * Answers a request, and begins anew if its path came to mean another repository before the first byte: with access
 * checked for that one (R8).
 * @param mayRepeat has nothing been sent yet?
 * @throws what `round` throws
 */
export async function untilUnexchanged<T>(round: () => Promise<T>, mayRepeat: () => boolean): Promise<T> {
  for (let rounds = 1; ; rounds++) {
    try {
      return await round()
    } catch (error) {
      const exchanged = causeOf(error) instanceof RepositoryExchanged
      if (!exchanged || rounds === roundsMax || !mayRepeat()) throw error
    }
  }
}
