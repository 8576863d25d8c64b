/** Nobody whom refstream knows asks. Doors answer 401 with these challenges, or UNAUTHENTICATED. */
export class Unauthenticated extends Error {
  override readonly name = 'Unauthenticated'
  /** Values of WWW-Authenticate (RFC 9110, section 11.6.1), best first. */
  readonly challenges: readonly string[]

  /** @param given did it give any? Then they are wrong */
  constructor(challenges: readonly string[], given = false) {
    super(
      given
        ? 'the user name and the password, or the token, are wrong'
        : 'a user name and a password, or a token, are needed',
    )
    this.challenges = challenges
  }
}

/** Whoever asks may not do this, whether or not there is such a repository. Doors answer 403, or PERMISSION_DENIED. */
export class Forbidden extends Error {
  override readonly name = 'Forbidden'
  /** Values of WWW-Authenticate, if other credentials would do. */
  readonly challenges: readonly string[]

  constructor(challenges: readonly string[] = []) {
    super('this is not allowed to you')
    this.challenges = challenges
  }
}

/** Nobody can say who may, so nobody may. Doors answer 503, or UNAVAILABLE. */
export class AuthorizerUnavailable extends Error {
  override readonly name = 'AuthorizerUnavailable'

  constructor(reason: string) {
    super(`the authoriser gives no answer: ${reason}`)
  }
}
