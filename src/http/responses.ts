import type { ServerResponse } from 'node:http'

/** What http-backend.c sends with everything that must not be kept (hdr_nocache), in its order. */
export const noCacheHeaders = [
  ...['Expires', 'Fri, 01 Jan 1980 00:00:00 GMT'],
  ...['Pragma', 'no-cache'],
  ...['Cache-Control', 'no-cache, max-age=0, must-revalidate'],
]

/** An answer that ends a request before any other byte of it: a status and a line for the person who reads it. */
export class HttpError extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  readonly headers: readonly string[]

  /** An empty message makes an empty body, which is how Git says 403 and 404. */
  constructor(status: number, message = '', headers: readonly string[] = []) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

/** What is sent of it. */
export type ErrorResponse = Pick<HttpError, 'status' | 'message' | 'headers'>

/** @param bodyWaits may the body still come, or not? Then no other request can follow on its connection */
export function sendError(
  response: ServerResponse,
  { status, message, headers }: ErrorResponse,
  bodyWaits = false,
): void {
  const body = Buffer.from(message && `refstream: ${message}\n`)
  response.writeHead(status, [
    ...noCacheHeaders,
    ...headers,
    ...(bodyWaits ? ['Connection', 'close'] : []),
    ...(message ? ['Content-Type', 'text/plain; charset=utf-8'] : []),
    ...['Content-Length', String(body.length)],
  ])
  response.end(body)
}
