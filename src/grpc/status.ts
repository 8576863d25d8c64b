import { Metadata, status, type StatusObject } from '@grpc/grpc-js'
import { classify, type FailureKind, type FailureReport } from '../service/failures.js'
import { encode, toDuration } from './proto/definitions.js'

/** Status codes of failures. */
const codes: Readonly<Record<FailureKind, status>> = {
  overloaded: status.RESOURCE_EXHAUSTED,
  'rate-limited': status.RESOURCE_EXHAUSTED,
  'too-many-leases': status.RESOURCE_EXHAUSTED,
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  'service-disabled': status.PERMISSION_DENIED,
  'not-found': status.NOT_FOUND,
  'unknown-lease': status.NOT_FOUND,
  'invalid-overrides': status.INVALID_ARGUMENT,
  'authorizer-unavailable': status.UNAVAILABLE,
  'backing-off': status.UNAVAILABLE,
  exchanged: status.UNAVAILABLE,
  'filesystem-unanswered': status.UNAVAILABLE,
  'fleet-unreachable': status.UNAVAILABLE,
  'fill-failed': status.UNAVAILABLE,
  'git-failed': status.UNAVAILABLE,
  'upstream-unavailable': status.UNAVAILABLE,
  'upstream-refused': status.FAILED_PRECONDITION,
  'system-error': status.UNAVAILABLE,
  internal: status.INTERNAL,
}

/** Codes and outcomes of errors of the protocol itself. */
const rpcErrors = {
  invalid: [status.INVALID_ARGUMENT, 'rejected'],
  unauthenticated: [status.UNAUTHENTICATED, 'unauthenticated'],
  denied: [status.PERMISSION_DENIED, 'forbidden'],
  closing: [status.UNAVAILABLE, 'error'],
} as const satisfies Record<string, readonly [status, FailureReport['outcome']]>

/** A call whose message is wrong, that lacks an admin token, or that ends because this server does. */
export class RpcError extends Error implements FailureReport {
  override readonly name = 'RpcError'
  readonly reason: keyof typeof rpcErrors
  readonly logLevel = undefined

  constructor(reason: RpcError['reason'], message: string) {
    super(message)
    this.reason = reason
  }

  get outcome(): FailureReport['outcome'] {
    return rpcErrors[this.reason][1]
  }
}

/** Returns the status of a call that failed with an error, and how that is counted and logged. */
export function toRpcFailure(error: unknown): {
  readonly status: StatusObject
  readonly report: FailureReport
} {
  if (error instanceof RpcError) {
    const [code] = rpcErrors[error.reason]
    return { status: { code, details: error.message, metadata: new Metadata() }, report: error }
  }
  const failure = classify(error)
  const { kind, message, retryAfterMs } = failure
  const code = codes[kind]
  const metadata = retryAfterMs === undefined ? new Metadata() : retryInfo(code, message, retryAfterMs)
  return { status: { code, details: message, metadata }, report: failure }
}

/** Encodes when to try again as gRPC's libraries read it: a google.rpc.RetryInfo in a google.rpc.Status (AIP-193). */
function retryInfo(code: status, message: string, retryMs: number): Metadata {
  const value = encode('google.rpc.RetryInfo', { retryDelay: toDuration(retryMs) })
  // protobufjs writes the fields of an Any as the proto file does.
  const details = [{ type_url: 'type.googleapis.com/google.rpc.RetryInfo', value }]
  const metadata = new Metadata()
  metadata.set('grpc-status-details-bin', encode('google.rpc.Status', { code, message, details }))
  return metadata
}
