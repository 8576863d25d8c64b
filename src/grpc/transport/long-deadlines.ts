import type { Server } from '@grpc/grpc-js'
import type { Http2Server, IncomingHttpHeaders } from 'node:http2'
import { timerMaxMs } from '../../limits/clock.js'

/** As grpc-js has them inside, for each way in. */
interface Inside {
  readonly http2Servers?: ReadonlyMap<Pick<Http2Server, 'prependListener'>, unknown>
}

/**
 * Takes deadlines of more than 24 days off calls: grpc-js counts them in 32 bits of milliseconds, so they would pass at
 * once, or at some other time. A client ends its call at its deadline by itself; and one that has gone without a word is
 * found by pings. Call it when the ways in have been made; a grpc-js that keeps them elsewhere stays as it is.
 */
export function liftLongDeadlines(server: Server): void {
  for (const way of (server as unknown as Inside).http2Servers?.keys() ?? []) {
    way.prependListener('stream', (_stream: unknown, headers: IncomingHttpHeaders) => {
      if (deadlineMs(headers['grpc-timeout']) > timerMaxMs) delete headers['grpc-timeout']
    })
  }
}

const unitsMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 }

/** As grpc-js reads it; NaN if there is none that it takes. */
function deadlineMs(header: string | string[] | undefined): number {
  const [, count, unit = ''] = /(\d{1,8})\s*([HMSmun])/.exec(String(header)) ?? []
  return Number(count) * (unitsMs[unit] ?? NaN)
}
