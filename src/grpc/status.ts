import { Metadata, status, type StatusObject } from '@grpc/grpc-js'
import { AuthorizerUnavailable, Forbidden, Unauthenticated } from '../access/errors.js'
import { TooManyLeases } from '../freshness/leases.js'
import { FilesystemUnanswered } from '../git/filesystem/filesystem-unanswered.js'
import { isSystemError } from '../git/filesystem/system-errors.js'
import { GitError } from '../git/process/git-error.js'
import { RepositoryExchanged } from '../git/state/reopen-repository.js'
import { Overloaded } from '../limits/overloaded.js'
import { BackingOff, InvalidGitOverrides, causeOf, RepositoryNotFound, ServiceDisabled } from '../service/errors.js'
import { FillError } from '../streamcache/index.js'
import { encode, toDuration } from './proto/definitions.js'

/** Says no to a call, with a line for the person who reads it. */
export class RpcError extends Error {
  override readonly name = 'Refusal'
  readonly reason: 'invalid' | 'not-found' | 'unauthenticated' | 'denied' | 'closing'

  constructor(reason: RpcError['reason'], message: string) {
    super(message)
    this.reason = reason
  }
}

const refusals = {
  invalid: [status.INVALID_ARGUMENT, 'rejected'],
  'not-found': [status.NOT_FOUND, 'not_found'],
  unauthenticated: [status.UNAUTHENTICATED, 'unauthenticated'],
  denied: [status.PERMISSION_DENIED, 'forbidden'],
  closing: [status.UNAVAILABLE, 'error'],
} as const

/** What became of a call that failed, as `refstream_requests_total` counts it. */
type Outcome = 'not_found' | 'unauthenticated' | 'forbidden' | 'rejected' | 'shed' | 'error'

export interface Explained {
  readonly status: StatusObject
  readonly outcome: Outcome
  /** What it was, under the fill that it failed. */
  readonly cause: unknown
}

/** The status to an error, and the outcome that it counts as. */
export function explain(error: unknown): Explained {
  const cause = causeOf(error)
  const told = (code: status, details: string, outcome: Outcome, retryMs?: number): Explained => ({
    status: {
      code,
      details,
      metadata: retryMs === undefined ? new Metadata() : retryInfo(code, details, retryMs),
    },
    outcome,
    cause,
  })
  if (cause instanceof Overloaded) {
    const { message, retryAfterSeconds } = cause
    return told(status.RESOURCE_EXHAUSTED, `overloaded: ${message}`, 'shed', retryAfterSeconds * 1000)
  }
  if (cause instanceof BackingOff) return told(status.UNAVAILABLE, cause.message, 'error', cause.retryAfterMs)
  if (cause instanceof RpcError) {
    const [code, outcome] = refusals[cause.reason]
    return told(code, cause.message, outcome)
  }
  if (cause instanceof Unauthenticated) return told(status.UNAUTHENTICATED, cause.message, 'unauthenticated')
  if (cause instanceof Forbidden) return told(status.PERMISSION_DENIED, cause.message, 'forbidden')
  if (cause instanceof AuthorizerUnavailable) {
    return told(status.UNAVAILABLE, 'nobody can say now who may read this; try again', 'error')
  }
  if (cause instanceof InvalidGitOverrides) return told(status.INVALID_ARGUMENT, cause.message, 'rejected')
  if (cause instanceof RepositoryNotFound) {
    return told(status.NOT_FOUND, 'there is no such repository, or it is not exported', 'not_found')
  }
  if (cause instanceof ServiceDisabled) return told(status.PERMISSION_DENIED, cause.message, 'forbidden')
  if (cause instanceof TooManyLeases) {
    return told(status.RESOURCE_EXHAUSTED, `${cause.message}; end some, or wait`, 'shed')
  }
  if (cause instanceof RepositoryExchanged)
    return told(status.UNAVAILABLE, `${cause.message}; try again`, 'error')
  if (cause instanceof FilesystemUnanswered) {
    const { message, retryAfterSeconds } = cause
    return told(status.UNAVAILABLE, `${message}; try again later`, 'error', retryAfterSeconds * 1000)
  }
  if (cause instanceof FillError || cause instanceof GitError) {
    const details = 'Git could not answer for this repository; see the log of refstream for why'
    return told(status.UNAVAILABLE, details, 'error')
  }
  if (isSystemError(cause)) {
    return told(status.UNAVAILABLE, `the system cannot answer now (${cause.code}); try again`, 'error')
  }
  return told(status.INTERNAL, 'internal error; see the log of refstream', 'error')
}

/** When to come again, as gRPC's libraries read it: a google.rpc.RetryInfo in a google.rpc.Status (AIP-193). */
function retryInfo(code: status, message: string, retryMs: number): Metadata {
  const value = encode('google.rpc.RetryInfo', { retryDelay: toDuration(retryMs) })
  // protobufjs writes the fields of an Any as the proto file does.
  const details = [{ type_url: 'type.googleapis.com/google.rpc.RetryInfo', value }]
  const metadata = new Metadata()
  metadata.set('grpc-status-details-bin', encode('google.rpc.Status', { code, message, details }))
  return metadata
}
