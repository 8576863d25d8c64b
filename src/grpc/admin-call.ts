import { status, type handleUnaryCall, type ServerUnaryCall, type StatusObject } from '@grpc/grpc-js'
import type { Log } from '../telemetry/log.js'
import { CallAudit, type AuditedChange, type AuditOptions } from './audit.js'
import { toRpcFailure } from './status.js'

/**
 * Returns a handler that answers each call of an admin service by this work, and writes its line of the audit trail.
 * @param changeOf describes what a call changes, by its request and, if it has succeeded, its response
 */
export function replyBy<Request, Response>(
  options: AuditOptions,
  work: (call: ServerUnaryCall<Request, Response>) => Promise<Response>,
  changeOf: (request: Request, response?: Response) => AuditedChange | undefined = () => undefined,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const audit = new CallAudit(options, call)
    work(call).then(
      (response) => {
        audit.write(status.OK, changeOf(call.request, response))
        callback(null, response)
      },
      (error: unknown) => {
        const failure = statusOf(error, call.getPath(), options.log)
        audit.write(failure.code, changeOf(call.request))
        callback(failure)
      },
    )
  }
}

/** Returns the status of an admin call that failed, which is logged here. */
export function statusOf(error: unknown, method: string, log: Log): StatusObject {
  const { status, report } = toRpcFailure(error)
  if (report.logLevel !== undefined) log[report.logLevel]({ err: error, method }, 'an admin call failed')
  return status
}
