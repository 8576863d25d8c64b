import { classify, type Failure, type FailureKind, type FailureReport } from '../service/failures.js'
import type { UpstreamRefusal } from '../origin/faults/upstream-errors.js'
import { HttpError, type ErrorResponse } from './responses.js'

/** Status codes of failures made here. `shed`: as the operator has set. */
const statuses: Readonly<Record<FailureKind, number | 'shed'>> = {
  overloaded: 'shed',
  'rate-limited': 429,
  'too-many-leases': 429,
  unauthenticated: 401,
  forbidden: 403,
  'service-disabled': 403,
  'not-found': 404,
  'unknown-lease': 404,
  'invalid-overrides': 400,
  'authorizer-unavailable': 503,
  'backing-off': 503,
  exchanged: 503,
  'filesystem-unanswered': 503,
  'fleet-unreachable': 503,
  'fill-failed': 503,
  'git-failed': 503,
  // Not 502, which says that an upstream's answer was invalid, nor 504: only 503 says that the failure is temporary, and
  // when to come again (RFC 9110, sections 15.6.3 to 15.6.5). What happened is in the message.
  'upstream-unavailable': 503,
  // Stands for the status of the upstream's answer, which is sent in its place.
  'upstream-refused': 502,
  'system-error': 503,
  internal: 500,
}

/** Failures of one repository: others may be answered even so. A refstream above this one must not stop asking for them. */
const ofRepository: ReadonlySet<FailureKind> = new Set([
  ...([
    'backing-off',
    'exchanged',
    'fleet-unreachable',
    'fill-failed',
    'git-failed',
    'upstream-unavailable',
  ] as const),
])

/** Failures that Git answers with an empty body (http-backend.c). */
const withoutBody: ReadonlySet<FailureKind> = new Set(['not-found', 'service-disabled'])

/**
 * Returns the response to an error, and how it is counted and logged.
 * @param shedStatus the status of requests that are shed
 */
export function toHttpFailure(
  error: unknown,
  shedStatus: number,
): { readonly response: ErrorResponse; readonly report: FailureReport } {
  if (error instanceof HttpError) return { response: error, report: error }
  const failure = classify(error)
  const { refusal } = failure
  return { response: refusal ? passedOn(refusal) : responseTo(failure, shedStatus), report: failure }
}

const scopeHeaders = ['Refstream-Scope', 'repository']

/** Returns an upstream's answer as it is sent on. */
const passedOn = ({ status, headers, body }: UpstreamRefusal): ErrorResponse => ({
  ...{ status, headers, body, message: '' },
})

function responseTo(
  { kind, message, retryAfterMs, challenges = [] }: Failure,
  shedStatus: number,
): ErrorResponse {
  const status = statuses[kind]
  return {
    status: status === 'shed' ? shedStatus : status,
    message: withoutBody.has(kind) ? '' : message,
    headers: [
      ...(retryAfterMs === undefined ? [] : ['Retry-After', String(Math.ceil(retryAfterMs / 1000))]),
      ...(ofRepository.has(kind) ? scopeHeaders : []),
      ...challenges.flatMap((challenge) => ['WWW-Authenticate', challenge]),
    ],
  }
}
