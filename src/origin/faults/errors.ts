/** There is no such repository under the root, or it is not exported. Answered as Git does: 404, nothing more. */
export class RepositoryNotFound extends Error {
  override readonly name = 'RepositoryNotFound'
}

/** The repository's configuration does not offer this service. Answered as Git does: 403, nothing more. */
export class ServiceDisabled extends Error {
  override readonly name = 'ServiceDisabled'
}

/** Git has refused a push without a message; this one says why. Answered by 403. */
export class PushRefused extends Error {
  override readonly name = 'PushRefused'
}

/** A request has overrides for Git's configuration or object directories that are not allowed; the message says why. */
export class InvalidGitOverrides extends Error {
  override readonly name = 'InvalidGitOverrides'
}

/** There is no mutator lease with this id. */
export class UnknownLease extends Error {
  override readonly name = 'UnknownLease'
  override readonly message =
    'there is no such lease: it has ended, has expired (which counts as a change), or is not known to this process'
}

/** Recent tries to answer this failed, and the next one is not due yet. Answered by 503 with Retry-After. */
export class BackingOff extends Error {
  override readonly name = 'BackingOff'
  /** Until the next try, in milliseconds. */
  readonly retryAfterMs: number
  /** Failures in a row, if another node has counted them. */
  readonly attempt: number | undefined

  constructor(retryAfterMs: number, cause: unknown, attempt?: number) {
    super('Git could not answer for this repository a moment ago; see the log of refstream for why', {
      cause,
    })
    this.retryAfterMs = retryAfterMs
    this.attempt = attempt
  }
}

/** Why a fill has failed: it ran at another node, which says until when the fleet does not try again. */
export class FailedElsewhere extends Error {
  override readonly name = 'FailedElsewhere'
}
