import type { Http2Server, IncomingHttpHeaders } from 'node:http2'
import { timerMaxMs } from '../../limits/clock.js'

/**
 * Removes deadlines of more than 24 days from calls, before grpc-js sees them: it counts milliseconds in 32 bits, so they
 * would pass at once, or at some other time. A client ends its call at its deadline by itself, and a client that has
 * vanished is found by pings.
 */
export function liftLongDeadlines(server: Pick<Http2Server, 'prependListener'>): void {
  server.prependListener('stream', (_stream: unknown, headers: IncomingHttpHeaders) => {
    if (deadlineMs(headers['grpc-timeout']) > timerMaxMs) delete headers['grpc-timeout']
  })
}

const unitsMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 }

/** Reads a deadline as grpc-js does; NaN: there is none that it accepts. */
function deadlineMs(header: string | string[] | undefined): number {
  const [, count, unit = ''] = /(\d{1,8})\s*([HMSmun])/.exec(String(header)) ?? []
  return Number(count) * (unitsMs[unit] ?? NaN)
}
