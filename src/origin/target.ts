import { RepositoryExchanged } from '../git/state/reopen-repository.js'
import { causeOf } from './faults/faults.js'

/** Which repository a request is about, and on whose behalf. */
export interface Target {
  /** Decoded and relative to the root; see `decodeRepositoryPath`. */
  readonly path: string
  /** Of the repository that access was checked for, see `locate`; left out: access does not depend on it. */
  readonly identity?: string | undefined
  /** What the client has sent to be recognized by; left out: nothing, or it is none of the origin's business. */
  readonly credentials?: ClientCredentials | undefined
  /** Who waits for the answer; left out: nobody that could leave. */
  readonly client?: WaitingClient | undefined
}

/** A client that may leave before it is answered. */
export interface WaitingClient {
  /** Aborts when the client leaves. Read only where something waits: it may be made when it is first asked for. */
  readonly signal: AbortSignal
}

/** Headers of a request that say who the client is, as they were sent. */
export interface ClientCredentials {
  readonly authorization?: string | undefined
  readonly cookie?: string | undefined
}

/** Most attempts to answer a request whose repository is replaced meanwhile. */
const attemptsMax = 4

/**
 * Answers a request, and starts again if its path leads to another repository before the first byte is sent, so that
 * access is checked for that repository (R8).
 * @param mayRepeat returns whether nothing has been sent yet
 * @throws what `attempt` throws
 */
export async function untilUnexchanged<T>(attempt: () => Promise<T>, mayRepeat: () => boolean): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt()
    } catch (error) {
      if (!mayAttemptAgain(error, count) || !mayRepeat()) throw error
    }
  }
}

/**
 * Returns whether a request is to be answered anew after this error, if no byte has been sent: its path leads to another
 * repository now.
 * @param attempts so far
 */
export const mayAttemptAgain = (error: unknown, attempts: number): boolean =>
  attempts < attemptsMax && causeOf(error) instanceof RepositoryExchanged
