/** Where refstream's own credential for one upstream comes from. */
export interface CredentialSource {
  /**
   * Resolves with the value of `Authorization` for requests to the upstream; undefined: there is none, and requests go
   * without.
   * @throws CredentialsUnavailable, or Overloaded
   */
  get(): Promise<string | undefined>
  /** To be called when the upstream has answered 401 to a request with this value. */
  rejected(authorization: string): void
  /** To be called when the upstream has answered a request with this value otherwise than by 401. */
  accepted(authorization: string): void
}

/** Events to be logged; none has a secret in it. */
export interface CredentialEvents {
  /** The upstream has refused the credential that is in use, which it may have accepted before. */
  refused?(url: string): void
}

/** It could not be found out what the credential is. Try again later. */
export class CredentialsUnavailable extends Error {
  override readonly name = 'CredentialsUnavailable'
}

/** Returns the value of `Authorization` for a user name and a password (RFC 7617, in UTF-8 as Git sends it). */
export const basicAuthorization = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
