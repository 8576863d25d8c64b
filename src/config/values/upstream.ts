import * as z from 'zod'
import { networksOf, type Network } from './networks.js'
import { explain, faultOf, timerSeconds } from './values.js'

/** A Git server behind refstream, for the repositories whose path a glob matches; undefined: for all. */
export interface Upstream {
  readonly glob: string | undefined
  /** Scheme, host, port, and the base path without a slash at its end. */
  readonly url: string
}

/** A rule of `--upstream`. */
export const upstreamRule = z.string().transform((value, context): Upstream => {
  const [, glob, given] = /^(?:(?!https?:\/\/)(.+?)=)?(https?:\/\/.+)$/i.exec(value) ?? []
  const url = given !== undefined && URL.canParse(given) ? new URL(given) : undefined
  if (given === undefined || !url) {
    context.addIssue({ code: 'custom', message: 'not an http: or https: URL' })
    return z.NEVER
  }
  const fault = (glob === undefined ? undefined : faultOf(glob)) ?? faultOfUrl(given, url)
  if (fault !== undefined) return explain(context, fault)
  return { glob, url: url.origin + url.pathname.replace(/\/+$/, '') }
})

function faultOfUrl(given: string, url: URL): string | undefined {
  if (url.username + url.password !== '' || /^https?:\/\/[^/]*@/i.test(given)) {
    return 'a URL may hold no credentials; put them into a file, and give --upstream-credentials service --upstream-credential-file FILE'
  }
  // An empty query or fragment does not show in the parsed URL.
  if (/[?#]/.test(given)) return 'a URL may have no query and no fragment; requests bring their own'
  if (/[\s\\]/.test(given)) return 'a URL may hold no white space and no backslash'
  if (!isReadable(url.pathname)) return 'the path is not percent-encoded text'
  return undefined
}

/** Is a path UTF-8 without control characters? Git's credential helpers are sent it, one value per line. */
function isReadable(path: string): boolean {
  try {
    return !/\p{Cc}/u.test(decodeURIComponent(path))
  } catch (error) {
    if (error instanceof URIError) return false
    throw error
  }
}

/** A rule of `--upstream-freshness`: how old answers for the repositories may be whose path matches. */
export type UpstreamFreshnessRule = { readonly glob: string } & UpstreamFreshness
export type UpstreamFreshness =
  { readonly mode: 'exact' } | { readonly mode: 'bounded'; readonly seconds: number }

export const upstreamFreshnessRule = z.string().transform((value, context): UpstreamFreshnessRule => {
  const [, glob = '**', exact, bound] = /^(?:(.+)=)?(?:(exact)|bounded:([\d.]+))$/.exec(value) ?? []
  const seconds = timerSeconds.safeParse(bound)
  if (exact === undefined && !seconds.success) {
    context.addIssue({ code: 'custom', message: 'not a rule' })
    return z.NEVER
  }
  const fault = faultOf(glob)
  if (fault !== undefined) return explain(context, fault)
  return seconds.success ? { glob, mode: 'bounded', seconds: seconds.data } : { glob, mode: 'exact' }
})

/** A host, with or without a port, as a URL has them: in lower case, an IPv6 address in brackets. */
export const hostAndPort = z.string().transform((value, context): string => {
  const isHost = /^(\[[\da-f:.]+\]|[\w.-]+)(:[1-9]\d{0,4})?$/i.test(value)
  // The port would be left out of a URL whose scheme implies it.
  const url = isHost && URL.canParse(`http://${value}`) ? new URL(`http://${value}`) : undefined
  if (!url) {
    context.addIssue({ code: 'custom', message: 'not a host' })
    return z.NEVER
  }
  const [, port = ''] = /(:\d+)$/.exec(value) ?? []
  return url.hostname + port
})

/** Networks that refstream does not connect to: one, or those that have a name. */
export const deniedNetworks = z.string().transform((value, context): readonly Network[] => {
  const networks = networksOf(value)
  if (networks) return networks
  context.addIssue({ code: 'custom', message: 'not a network' })
  return z.NEVER
})
