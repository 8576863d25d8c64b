import { validateHeaderName, validateHeaderValue, type OutgoingHttpHeader } from 'node:http'
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2'

/** Fields that describe an HTTP/1 connection; a response with one is malformed (RFC 9113, section 8.2.2). */
const connectionSpecific = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'],
])

/** Fields of responses that Node takes once: of values that differ, clients of HTTP/1 take the first. */
const single = new Set([
  ...[
    'access-control-allow-credentials',
    'access-control-max-age',
    'age',
    'content-length',
    'content-location',
  ],
  ...['content-md5', 'content-range', 'content-type', 'date', 'dnt', 'etag', 'expires', 'from', 'host'],
  ...['last-modified', 'location', 'referer', 'retry-after', 'tk', 'user-agent', 'x-content-type-options'],
])
/** The same, but the values of all of them are one list (RFC 9110, section 5.3). */
const listed = new Set(['content-encoding', 'content-language'])

/**
 * Returns the header fields of a response. Of HTTP/1 headers, those that describe a connection are left out.
 * @param headers alternating names and values
 * @throws TypeError if HTTP does not allow them
 */
export function responseFields(status: number, headers: readonly OutgoingHttpHeader[]): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = { ':status': status }
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = String(headers[index]).toLowerCase()
    const value = String(headers[index + 1])
    if (connectionSpecific.has(name)) continue
    validateHeaderName(name)
    validateHeaderValue(name, value)
    const before = fields[name]
    if (before === undefined) fields[name] = value
    else if (listed.has(name)) fields[name] = `${String(before)}, ${value}`
    else if (!single.has(name)) fields[name] = [before, value].flat().map(String)
  }
  return fields
}

/** Returns the headers that were set before `writeHead()`, as far as those given to it do not replace them, and these. */
export function withGiven(
  set: readonly string[],
  given: readonly OutgoingHttpHeader[],
): readonly OutgoingHttpHeader[] {
  if (set.length === 0) return given
  const names = new Set(given.filter((_, index) => index % 2 === 0).map((name) => String(name).toLowerCase()))
  return [
    ...set.filter((_, index) => !names.has((set[index - (index % 2)] as string).toLowerCase())),
    ...given,
  ]
}

/** Takes the pseudo-header fields out of those of a request; `host` is its authority (RFC 9113, section 8.3.1). */
export function requestHeaders(fields: IncomingHttpHeaders): {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
} {
  const { ':method': method = '', ':path': url = '', ':authority': authority } = fields
  delete fields[':method']
  delete fields[':path']
  delete fields[':authority']
  delete fields[':scheme']
  delete fields[':protocol']
  if (authority !== undefined) fields.host = authority
  return { method, url, headers: fields }
}

/**
 * Returns the headers of a request as HTTP/1 has them: without pseudo-header fields, with its authority as Host, and with
 * the cookies in one field (RFC 9113, section 8.2.3).
 * @param fields alternating names and values, as they came
 */
export function rawHeadersOf(fields: readonly string[]): string[] {
  const headers: string[] = []
  const cookies: string[] = []
  let authority: string | undefined
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [name, value] = [fields[index] as string, fields[index + 1] as string]
    if (name === ':authority') authority = value
    else if (name === 'cookie') cookies.push(value)
    else if (!name.startsWith(':')) headers.push(name, value)
  }
  if (cookies.length > 0) headers.push('cookie', cookies.join('; '))
  if (authority === undefined) return headers
  const others = headers.filter((_, index) => headers[index - (index % 2)] !== 'host')
  return ['host', authority, ...others]
}

/** Returns the values of each header, by its name. @param headers alternating names and values */
export function distinct(headers: readonly string[]): NodeJS.Dict<string[]> {
  const values = Object.create(null) as Record<string, string[]>
  for (let index = 0; index + 1 < headers.length; index += 2)
    (values[headers[index] as string] ??= []).push(headers[index + 1] as string)
  return values
}

/** Returns the size of a head as the limit on HTTP/1 heads counts it. @param fields alternating names and values */
export const headBytes = (fields: readonly string[]): number =>
  fields.reduce((sum, { length }) => sum + length + 2, 0)
