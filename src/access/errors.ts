/** The client is not authenticated. HTTP answers 401 with these challenges, gRPC UNAUTHENTICATED. */
export class Unauthenticated extends Error {
  override readonly name = 'Unauthenticated'
  /** Values of WWW-Authenticate (RFC 9110, section 11.6.1), best first. */
  readonly challenges: readonly string[]

  /** @param hasCredentials the request has credentials, which are wrong */
  constructor(challenges: readonly string[], hasCredentials = false) {
    super(
      hasCredentials
        ? 'wrong user name, password or token'
        : 'authentication required: give a user name and a password, or a token',
    )
    this.challenges = challenges
  }
}

/** The client may not do this, whether the repository exists or not. HTTP answers 403, gRPC PERMISSION_DENIED. */
export class Forbidden extends Error {
  override readonly name = 'Forbidden'
  /** Values of WWW-Authenticate, if other credentials would be accepted. */
  readonly challenges: readonly string[]

  constructor(challenges: readonly string[] = []) {
    super('permission denied')
    this.challenges = challenges
  }
}

/** The external authorizer has made no decision, so the request is denied. HTTP answers 503, gRPC UNAVAILABLE. */
export class AuthorizerUnavailable extends Error {
  override readonly name = 'AuthorizerUnavailable'

  constructor(reason: string) {
    super(`authorization service unavailable: ${reason}`)
  }
}
