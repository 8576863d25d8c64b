import { AuthorizerUnavailable, Forbidden, Unauthenticated } from '../access/errors.js'
import { FleetUnreachable } from '../freshness/fleet-unreachable.js'
import { TooManyLeases } from '../freshness/leases/leases.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import { isSystemError } from '../git/filesystem/system-errors.js'
import { GitError } from '../git/process/git-error.js'
import { RepositoryExchanged } from '../git/state/reopen-repository.js'
import { Overloaded } from '../limits/overloaded.js'
import { RateLimited } from '../limits/rate-limited.js'
import { FillError } from '../streamcache/index.js'
import {
  BackingOff,
  InvalidGitOverrides,
  PushRefused,
  RepositoryNotFound,
  ServiceDisabled,
  UnknownLease,
} from '../origin/faults/errors.js'
import { causeOf, momentaryFault } from '../origin/faults/faults.js'
import { InvalidUpstreamPath, RedirectRefused } from '../origin/upstream/client/errors.js'
import { CredentialsUnavailable } from '../origin/upstream/credentials/credential-source.js'
import { printableLine } from '../origin/faults/printable-line.js'
import { UpstreamRefusal, UpstreamUnavailable } from '../origin/faults/upstream-errors.js'

/** The `outcome` label of a request that was not answered, in `refstream_requests_total`. */
export type FailureOutcome =
  'not_found' | 'unauthenticated' | 'forbidden' | 'rejected' | 'rate_limited' | 'shed' | 'error'

/** How a failed request is counted and logged. Errors of a protocol itself have this too: HttpError, RpcError. */
export interface FailureReport {
  readonly outcome: FailureOutcome
  /** `debug`: whatever caused it has logged it already, or it needs no action; undefined: not logged. */
  readonly logLevel: 'error' | 'debug' | undefined
}

/**
 * Every way in which a request can fail, with its outcome and log level. HTTP and gRPC have a table of their own that
 * maps each kind to a status code.
 */
const reports = {
  overloaded: { outcome: 'shed', logLevel: undefined },
  'rate-limited': { outcome: 'rate_limited', logLevel: undefined },
  'too-many-leases': { outcome: 'shed', logLevel: undefined },
  unauthenticated: { outcome: 'unauthenticated', logLevel: undefined },
  forbidden: { outcome: 'forbidden', logLevel: undefined },
  'service-disabled': { outcome: 'forbidden', logLevel: undefined },
  'not-found': { outcome: 'not_found', logLevel: undefined },
  'unknown-lease': { outcome: 'not_found', logLevel: undefined },
  'invalid-overrides': { outcome: 'rejected', logLevel: undefined },
  // access-control.ts logs when auth-url does not answer.
  'authorizer-unavailable': { outcome: 'error', logLevel: 'debug' },
  // The failures that led to it were logged.
  'backing-off': { outcome: 'error', logLevel: 'debug' },
  // Passes with the next request.
  exchanged: { outcome: 'error', logLevel: 'debug' },
  // Logged when the filesystem stopped answering.
  'filesystem-unanswered': { outcome: 'error', logLevel: 'debug' },
  // The gate of the engine logs when it does not answer.
  'fleet-unreachable': { outcome: 'error', logLevel: 'debug' },
  // Fails all followers of the fill; FillReports logs it once.
  'fill-failed': { outcome: 'error', logLevel: 'debug' },
  // The client of the upstream logs when it goes away.
  'upstream-unavailable': { outcome: 'error', logLevel: 'debug' },
  // 401, 403 and 404 have the kinds of refusals made here.
  'upstream-refused': { outcome: 'rejected', logLevel: undefined },
  'git-failed': { outcome: 'error', logLevel: 'error' },
  'system-error': { outcome: 'error', logLevel: 'error' },
  internal: { outcome: 'error', logLevel: 'error' },
} as const satisfies Record<string, FailureReport>

export type FailureKind = keyof typeof reports

/** What the client of a failed request is told, and how the failure is counted and logged. */
export interface Failure extends FailureReport {
  readonly kind: FailureKind
  /** For the person who reads it; says nothing about this host. */
  readonly message: string
  /** Milliseconds until another try may succeed; undefined: unknown. */
  readonly retryAfterMs?: number
  /** Values of WWW-Authenticate (RFC 9110, section 11.6.1). */
  readonly challenges?: readonly string[]
  /** An upstream's answer that says all this itself. */
  readonly refusal?: UpstreamRefusal
}

type Explanation = Omit<Failure, keyof FailureReport>

/** Milliseconds after which to try again what failed for the moment, where nothing better is known. */
const momentMs = 1000

/** Classifies the error that a request failed with. */
export function classify(error: unknown): Failure {
  const explanation = explanationOf(causeOf(error))
  return { ...explanation, ...reports[explanation.kind] }
}

function explanationOf(error: unknown): Explanation {
  if (error instanceof UpstreamRefusal) return explainRefusal(error)
  if (error instanceof RedirectRefused || error instanceof CredentialsUnavailable) {
    const message = `the upstream server cannot be asked (${printableLine(error.message)})`
    return { kind: 'upstream-unavailable', message, retryAfterMs: momentMs }
  }
  if (error instanceof InvalidUpstreamPath)
    return { kind: 'not-found', message: 'an upstream can have no such repository' }
  if (error instanceof UpstreamUnavailable) {
    const message = `the upstream server cannot answer now (${printableLine(error.message)}); try again later`
    return { kind: 'upstream-unavailable', message, retryAfterMs: error.retryAfterMs ?? momentMs }
  }
  if (error instanceof Overloaded) {
    const message = `overloaded: ${error.message}; try again later`
    return { kind: 'overloaded', message, retryAfterMs: error.retryAfterSeconds * 1000 }
  }
  if (error instanceof RateLimited) {
    const { message, retryAfterMs } = error
    return { kind: 'rate-limited', message: `${message}; try again later`, retryAfterMs }
  }
  if (error instanceof BackingOff) {
    return { kind: 'backing-off', message: error.message, retryAfterMs: error.retryAfterMs }
  }
  if (error instanceof Unauthenticated) {
    return { kind: 'unauthenticated', message: error.message, challenges: error.challenges }
  }
  if (error instanceof Forbidden) {
    return { kind: 'forbidden', message: error.message, challenges: error.challenges }
  }
  if (error instanceof PushRefused) return { kind: 'forbidden', message: error.message }
  if (error instanceof AuthorizerUnavailable) {
    const message = 'authorization service unavailable; try again later'
    return { kind: 'authorizer-unavailable', message, retryAfterMs: momentMs }
  }
  if (error instanceof RepositoryNotFound) {
    return { kind: 'not-found', message: 'there is no such repository, or it is not exported' }
  }
  if (error instanceof ServiceDisabled) return { kind: 'service-disabled', message: error.message }
  if (error instanceof InvalidGitOverrides) return { kind: 'invalid-overrides', message: error.message }
  if (error instanceof TooManyLeases) {
    return { kind: 'too-many-leases', message: `${error.message}; end some, or wait` }
  }
  if (error instanceof FleetUnreachable) {
    const message = `${error.message}; try again later`
    return { kind: 'fleet-unreachable', message, retryAfterMs: momentMs }
  }
  if (error instanceof UnknownLease) return { kind: 'unknown-lease', message: error.message }
  if (error instanceof RepositoryExchanged) {
    return { kind: 'exchanged', message: `${error.message}; try again`, retryAfterMs: momentMs }
  }
  if (error instanceof FilesystemUnanswered) {
    const message = `${error.message}; try again later`
    return { kind: 'filesystem-unanswered', message, retryAfterMs: error.retryAfterSeconds * 1000 }
  }
  const fault = momentaryFault(error)
  const isOfPeer = fault === 'elsewhere' || fault === 'peer'
  if (error instanceof FillError || error instanceof GitError || isOfPeer) {
    const kind = error instanceof GitError ? 'git-failed' : 'fill-failed'
    const message =
      'Git could not answer for this repository; try again, and see the log of refstream for why'
    return { kind, message }
  }
  if (isSystemError(error)) {
    const message = `the system cannot answer now (${error.code}); try again, and see the log of refstream`
    return { kind: 'system-error', message, retryAfterMs: momentMs }
  }
  return { kind: 'internal', message: 'internal error; see the log of refstream' }
}

const refusalKinds: Readonly<Record<number, FailureKind>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not-found',
}

function explainRefusal(refusal: UpstreamRefusal): Explanation {
  const { status } = refusal
  const kind = refusalKinds[status] ?? 'upstream-refused'
  return { kind, message: `the upstream server has refused this with status ${status}`, refusal }
}
