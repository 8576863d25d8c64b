import { createHmac, randomBytes } from 'node:crypto'

/** The values of the request headers by which an upstream knows its client, each in the order in which they came. */
export interface ClientCredentials {
  readonly authorization?: string | readonly string[] | undefined
  readonly cookie?: string | readonly string[] | undefined
}

/** The view of clients without credentials. No hash is as short. */
export const anonymous = 'anonymous'

const listed = (values: string | readonly string[] | undefined): readonly string[] =>
  values === undefined ? [] : typeof values === 'string' ? [values] : values

/**
 * Returns a function that names what a client's credentials let it see of an upstream: equal for equal credentials, and a
 * keyed hash (HMAC-SHA-256, base64url) unless there are none. It is part of the key of an entry, so that no client is answered
 * from what the upstream has sent to another one (R8).
 * @param key secret, and never written down, so that a hash in the key of an entry tells nothing about the credential. All
 * nodes of a fleet have the same, so that they know one client by one name
 */
export function viewsBy(key: Buffer): (credentials: ClientCredentials) => string {
  return ({ authorization, cookie }) => {
    const values = [listed(authorization), listed(cookie)]
    if (values.every(({ length }) => length === 0)) return anonymous
    // JSON keeps apart what is absent, what is empty, and where one value ends and the next begins.
    return createHmac('sha256', key).update(JSON.stringify(values)).digest('base64url')
  }
}

/** Names views by a key of this process. */
export const viewOf = viewsBy(randomBytes(32))
