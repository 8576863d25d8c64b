import type { handleUnaryCall, ServerUnaryCall, StatusObject } from '@grpc/grpc-js'
import type { Log } from '../telemetry/log.js'
import { toRpcFailure } from './status.js'

/** Returns a handler that answers each call of an admin service by this work. */
export function replyBy<Request, Response>(
  log: Log,
  work: (call: ServerUnaryCall<Request, Response>) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    work(call).then(
      (response) => callback(null, response),
      (error: unknown) => callback(statusOf(error, call.getPath(), log)),
    )
  }
}

/** Returns the status of an admin call that failed, which is logged here. */
export function statusOf(error: unknown, method: string, log: Log): StatusObject {
  const { status, report } = toRpcFailure(error)
  if (report.logLevel !== undefined) log[report.logLevel]({ err: error, method }, 'an admin call failed')
  return status
}
