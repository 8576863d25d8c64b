import type { FailureReport } from '../service/failures.js'
import type { HttpResponse } from './message.js'

/** What http-backend.c sends with everything that must not be kept (hdr_nocache), in its order. */
export const noCacheHeaders = [
  ...['Expires', 'Fri, 01 Jan 1980 00:00:00 GMT'],
  ...['Pragma', 'no-cache'],
  ...['Cache-Control', 'no-cache, max-age=0, must-revalidate'],
]

/** The headers of an answer to `POST git-upload-pack`, in Git's order (http-backend.c, service_rpc). */
export const uploadPackResultHeaders = [
  ...noCacheHeaders,
  ...['Content-Type', 'application/x-git-upload-pack-result'],
]

/** How old an answer is. */
export interface Aged {
  readonly ageMs?: number
  readonly isStale?: boolean
}

const none: readonly string[] = []

/**
 * Returns the headers of an answer that is older than allowed (RFC 9111, sections 5.1 and 5.5; RFC 7234, section 5.5.1).
 * Other answers have the headers that Git sends, and no others.
 */
export const ageHeaders = ({ ageMs = 0, isStale }: Aged): readonly string[] =>
  isStale ? ['Age', String(Math.floor(ageMs / 1000)), 'Warning', '110 refstream "Response is Stale"'] : none

/** A response that ends a request before any other byte of it: a status, and a line for the person who reads it. */
export interface ErrorResponse {
  readonly status: number
  /** Empty: an empty body, which is how Git answers 403 and 404. */
  readonly message: string
  /** Names and values in turn. */
  readonly headers: readonly string[]
  /** A body in place of the message, whose type is among the headers. */
  readonly body?: Buffer
}

/** A request that is wrong as HTTP, or asks for what Git does not serve. */
export class HttpError extends Error implements ErrorResponse, FailureReport {
  override readonly name = 'HttpError'
  readonly status: number
  readonly headers: readonly string[]
  readonly logLevel = undefined

  constructor(status: number, message = '', headers: readonly string[] = []) {
    super(message)
    this.status = status
    this.headers = headers
  }

  get outcome(): FailureReport['outcome'] {
    return this.status === 404 ? 'not_found' : this.status === 403 ? 'forbidden' : 'rejected'
  }
}

/** @param closes whether no other request can follow on the connection: the client may still send a body, or not */
export function sendError(
  response: HttpResponse,
  { status, message, headers, body = Buffer.from(message && `refstream: ${message}\n`) }: ErrorResponse,
  closes = false,
): void {
  response.writeHead(status, [
    ...noCacheHeaders,
    ...headers,
    ...(closes ? ['Connection', 'close'] : []),
    ...(message ? ['Content-Type', 'text/plain; charset=utf-8'] : []),
    ...['Content-Length', String(body.length)],
  ])
  response.end(body)
}
