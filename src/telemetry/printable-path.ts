/** Most characters of a path in a log line. */
const pathMax = 2048

/**
 * Returns a path as it may stand in a log: without a query, and without the user information (RFC 3986, section 3.2.1) of a
 * URL that a client has put into it, since that may be a password or a token.
 */
export function printablePath(path: string): string {
  if (path.length <= pathMax && !/[?#@]/.test(path)) return path
  const [plain = ''] = path.split(/[?#]/, 1)
  const cut = plain.includes('@') ? withoutUserInformation(plain) : plain
  return cut.length > pathMax ? `${cut.slice(0, pathMax)}…` : cut
}

function withoutUserInformation(path: string): string {
  const segments = path.split('/')
  const kept = segments.map((segment, index) => {
    const end = segment.lastIndexOf('@')
    const isAuthority = index > 1 && /^$|:$/.test(segments[index - 1]!)
    return end > 0 && (isAuthority || segment.slice(0, end).includes(':')) ? segment.slice(end + 1) : segment
  })
  return kept.join('/')
}
