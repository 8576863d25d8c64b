import { Pool, type Dispatcher, type errors } from 'undici'

type Listener = (origin: URL, targets: readonly Dispatcher[], error: errors.UndiciError) => void

/** Events on which undici's Agent may close a pool. */
const ofEnds = new Set(['disconnect', 'connectionError'])

/**
 * A pool that lives as long as its agent. undici's Agent closes a pool whose last connection has closed, and counts the
 * connections of a closed pool against the pool that took its place, which it closes too, and so on: after one lost
 * connection, no connection would be used twice. There are few hosts here, so pools need not be closed before the end.
 */
export class KeptPool extends Pool {
  readonly #isBuilt = true

  override on(event: string, listener: Listener): this {
    // The pool itself listens while it is built.
    if (#isBuilt in this && ofEnds.has(event)) return this
    return super.on(event as 'disconnect', listener)
  }
}
