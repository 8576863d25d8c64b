import { constants } from 'node:http2'
import {
  ResponderBuilder,
  ServerInterceptingCall,
  ServerListenerBuilder,
  status,
  type ServerInterceptor,
} from '@grpc/grpc-js'
import { http2Stream } from './http2-stream.js'

export interface RequestWaitOptions {
  /** Milliseconds in which the message of a request must have come. */
  readonly idleMs: number
  /** Most requests whose message is still coming, over all connections: each may hold as much as a message may have. */
  readonly max: number
}

/**
 * Bounds calls that have begun and whose request has not come: grpc-js keeps what there is of it, and tells nobody before
 * it is whole. They end in RESOURCE_EXHAUSTED if there are too many of them, in DEADLINE_EXCEEDED if it takes too long.
 */
export function requestWait({ idleMs, max }: RequestWaitOptions): ServerInterceptor {
  let waiting = 0
  return (_method, call) => {
    let timer: NodeJS.Timeout | undefined
    const came = (): void => {
      if (!timer) return
      clearTimeout(timer)
      timer = undefined
      waiting--
    }
    const refuse = (code: status, details: string): void => {
      call.sendStatus({ code, details })
      // grpc-js would wait for the rest of the request.
      setImmediate(() => http2Stream(call)?.close(constants.NGHTTP2_NO_ERROR))
    }
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        if (waiting >= max) {
          refuse(status.RESOURCE_EXHAUSTED, 'too many requests are still coming')
          return
        }
        waiting++
        timer = setTimeout(() => {
          came()
          refuse(status.DEADLINE_EXCEEDED, 'the request did not come in time')
        }, idleMs)
        next(metadata)
      })
      .withOnReceiveMessage((message, next) => {
        came()
        next(message)
      })
      .withOnReceiveHalfClose((next) => {
        came()
        next()
      })
      .withOnCancel(came)
      .build()
    const responder = new ResponderBuilder().withStart((next) => next(listener)).build()
    return new ServerInterceptingCall(call, responder)
  }
}
