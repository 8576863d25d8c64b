/** Headers that are meant for one connection only (RFC 9110, sections 7.6.1 and 11.7), and Trailer: none are passed on. */
const hopByHop = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization'],
])

/** Request headers that this client sets itself or does not use. */
const own = new Set(['host', 'user-agent', 'expect'])

/** Request headers that belong to one origin. */
const credentials = new Set(['authorization', 'cookie'])

/** Headers that the values of Connection name; in lower case. */
const namedBy = (connection: readonly string[]): Set<string> =>
  new Set(
    connection
      .flatMap((value) => value.split(','))
      .map((name) => name.trim().toLowerCase())
      .filter(Boolean),
  )

/** Returns the values of one header in a list of alternating names and values. @param name in lower case */
export const valuesOf = (headers: readonly string[], name: string): string[] =>
  headers.filter((_, index) => index % 2 === 1 && headers[index - 1]!.toLowerCase() === name)

/** Returns the headers of a response that may be passed on: alternating names and values, without hop-by-hop ones. */
export function endToEnd(headers: readonly string[]): string[] {
  const named = namedBy(valuesOf(headers, 'connection'))
  return headers.filter((_, index) => {
    const name = headers[index - (index % 2)]!.toLowerCase()
    return !hopByHop.has(name) && !named.has(name)
  })
}

/**
 * Returns the headers of a request as they are sent, names in lower case.
 * @param isOrigin does the request go to the origin to which the client's credentials belong?
 * @param hasLength is the body's length known without its Content-Length?
 */
export function requestHeaders(
  headers: Readonly<Record<string, string | readonly string[]>>,
  userAgent: string,
  isOrigin: boolean,
  hasLength: boolean,
): Record<string, string | string[]> {
  const sent: Record<string, string | string[]> = { 'user-agent': userAgent }
  const lists = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const named = namedBy(lists.flatMap(([name, value]) => (name === 'connection' ? value : [])))
  for (const [name, value] of lists) {
    if (hopByHop.has(name) || own.has(name) || named.has(name)) continue
    if (credentials.has(name) && !isOrigin) continue
    if (name === 'content-length' && hasLength) continue
    sent[name] = typeof value === 'string' ? value : [...value]
  }
  return sent
}
