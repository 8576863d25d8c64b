import { Forbidden, Unauthenticated } from '../access/errors.js'
import type { ClientRates, RatedClient } from '../limits/admission/client-rates.js'

export interface RatedRequest extends Omit<RatedClient, 'user'> {
  /** Has the client given a password or a token? */
  readonly hasCredentials: boolean
}

/**
 * Checks access, and then takes a token of the client, whose name is known by then: of its user's bucket, or of its
 * address's if it has no name or is refused. The 401 that asks for credentials takes none: Git's first request has no
 * credentials, and the clients behind one address would be limited together.
 * @param check checks access; returns who the client is
 * @throws RateLimited, or what `check` throws
 */
export async function withinRate<T extends { readonly user?: string | undefined }>(
  rates: ClientRates,
  { address, isAdmitted, hasCredentials }: RatedRequest,
  check: () => T | Promise<T>,
): Promise<T> {
  let granted: T
  try {
    granted = await check()
  } catch (error) {
    const isRefused = error instanceof Forbidden || (error instanceof Unauthenticated && hasCredentials)
    if (isRefused) rates.take({ address })
    throw error
  }
  rates.take({ user: granted.user, address, isAdmitted: isAdmitted ?? false })
  return granted
}
