import type { PassThroughRequest } from '../pass-through.js'

/**
 * Headers of a client that an upstream gets: what describes the request and its body, for Git, LFS, and web pages. All others
 * are dropped, since servers trust many names from a proxy: who the user is, where the request comes from, which path is
 * meant. Nobody knows all such names.
 */
const described = new Set([
  ...['accept', 'accept-charset', 'accept-encoding', 'accept-language', 'cache-control', 'pragma'],
  ...['content-type', 'content-encoding', 'content-language', 'content-length', 'content-disposition'],
  ...['content-md5', 'content-range', 'digest', 'range', 'if-match', 'if-range', 'if-unmodified-since'],
  ...['tus-resumable', 'upload-checksum', 'upload-length', 'upload-metadata', 'upload-offset'],
  ...['git-protocol', 'origin', 'referer', 'sec-fetch-dest', 'sec-fetch-mode', 'sec-fetch-site'],
  ...['sec-fetch-user', 'x-requested-with', 'x-csrf-token', 'traceparent', 'tracestate', 'x-request-id'],
])

/** Headers by which a client itself proves who it is, besides Authorization and Cookie, which the origin adds. */
const proving = new Set([
  ...['private-token', 'job-token', 'deploy-token', 'x-gitlab-static-object-token'],
  ...['x-gitea-otp', 'x-forgejo-otp', 'x-gerrit-auth'],
])

export interface ForwardingOptions {
  /** Names of further headers, in lower case. */
  readonly more: ReadonlySet<string>
  /** Does the upstream get the client's own credentials? */
  readonly isClients: boolean
}

/** Returns the headers of a client's request that are sent to an upstream; names in lower case. */
export function forwardedHeaders(
  { headers, remoteAddress }: Pick<PassThroughRequest, 'headers' | 'remoteAddress'>,
  { more, isClients }: ForwardingOptions,
): Record<string, string | string[]> {
  const sent = new Map<string, string[]>()
  const hopByHop = new Set<string>()
  for (let at = 0; at < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase()
    const value = headers[at + 1] ?? ''
    // RFC 9110, section 7.6.1.
    if (name === 'connection') for (const item of value.split(',')) hopByHop.add(item.trim().toLowerCase())
    if (!described.has(name) && !(isClients && proving.has(name)) && !more.has(name)) continue
    sent.set(name, [...(sent.get(name) ?? []), value])
  }
  // The length frames the body, whatever the client says.
  hopByHop.delete('content-length')
  const named = [...sent].filter(([name]) => !hopByHop.has(name))
  return {
    ...Object.fromEntries(named.map(([name, values]) => [name, values.length === 1 ? values[0]! : values])),
    // What the client itself says of this is not passed on: it could name another.
    ...(remoteAddress && { 'x-forwarded-for': remoteAddress }),
  }
}
