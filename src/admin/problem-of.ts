import { RepositoryNotFound } from '../origin/faults/errors.js'
import { classify, type FailureKind } from '../service/failures.js'
import { Problem } from './endpoint.js'

/** The failures that callers of the admin API can act on; all others are faults of this program (500). */
const statuses: Partial<Record<FailureKind, number>> = {
  'not-found': 404,
  'unknown-lease': 404,
  'too-many-leases': 429,
  'filesystem-unanswered': 503,
  'fleet-unreachable': 503,
}

/** Returns the answer to an error of the lease service; undefined if it has none of its own. */
export function problemOf(error: unknown): Problem | undefined {
  const { kind, message } = classify(error)
  const status = statuses[kind]
  if (status === undefined) return undefined
  // Callers hold a token, and may learn that the path is wrong; clients of Git may not.
  if (error instanceof RepositoryNotFound) {
    return new Problem(status, `there is no repository ${JSON.stringify(error.message)} below the root`)
  }
  return new Problem(status, message)
}
