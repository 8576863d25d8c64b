import { isGiven } from './given.js'
import { isIn, blockListOf } from '../values/networks.js'
import type { Settings } from '../options/options.js'
import { upstreamOptions } from '../options/upstream.js'
import type { Upstream } from '../values/upstream.js'

/** Finds what contradicts itself in the settings of upstreams. Access and addresses are checked with those of clients. */
export function* upstreamMistakes(settings: Settings): Generator<string> {
  const { root, upstream, rootLayout, freshness } = settings
  if (!upstream) {
    const idle = upstreamOptions.filter((option) => isGiven(settings, option)).map(({ name }) => `--${name}`)
    if (idle.length > 0) yield `${idle.join(', ')}: give --upstream too, or leave this out`
    return
  }
  if (root === undefined) {
    if (rootLayout !== 'plain') yield '--root-layout: give --root too, or leave this out'
    if (freshness.some(({ mode }) => mode !== 'auto')) {
      yield '--freshness is for repositories below --root; --upstream-freshness is for those of an upstream'
    }
  }
  yield* ruleMistakes(upstream)
  yield* credentialMistakes(settings)
  yield* encryptionMistakes(settings, upstream)
  yield* deniedMistakes(settings, upstream)
}

/**
 * Returns whether the upstream authenticates every client by the client's own credentials. It does not where repositories
 * of the root have no upstream, nor where it may accept refstream's certificate in place of the client's credentials.
 */
export function upstreamAuthenticates(settings: Settings): boolean {
  const { root, upstream, upstreamCredentials, upstreamClientCert } = settings
  if (!upstream || upstreamCredentials !== 'pass-through' || upstreamClientCert !== undefined) return false
  return root === undefined || upstream.some(isForAll)
}

/** Does an upstream have every repository, by its glob? */
export const isForAll = ({ glob }: Upstream): boolean => glob === undefined || glob === '**'

function* ruleMistakes(upstream: readonly Upstream[]): Generator<string> {
  for (const [index, rule] of upstream.entries()) {
    const earlier = upstream.slice(0, index)
    const all = earlier.find(isForAll)
    if (all) {
      yield `--upstream: ${written(rule)} is never used: ${written(all)} before it is for all repositories; change their order, or leave one out`
    } else if (earlier.some(({ glob }) => glob === rule.glob)) {
      yield `--upstream: the glob ${rule.glob} has two URLs; give each glob once`
    }
  }
}

const written = ({ glob, url }: Upstream): string => (glob === undefined ? url : `${glob}=${url}`)

function* credentialMistakes(settings: Settings): Generator<string> {
  const { root, grpc, authTokens, authHtpasswd, remoteUserHeader } = settings
  if (settings.upstreamCredentials === 'service') return
  if (settings.upstreamCredentialFile !== undefined) {
    yield '--upstream-credential-file needs --upstream-credentials service'
  }
  const own = Object.entries({
    'auth-tokens': authTokens,
    'auth-htpasswd': authHtpasswd,
    'remote-user-header': remoteUserHeader,
  }).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`]))
  if (own.length > 0) {
    yield `${own.join(', ')}: with pass-through credentials the upstream authenticates the clients; to do it here, give --upstream-credentials service`
  }
  if (grpc && root === undefined) {
    yield '--grpc: its clients have no credentials for an upstream; give --upstream-credentials service'
  }
}

function* encryptionMistakes(settings: Settings, upstream: readonly Upstream[]): Generator<string> {
  const { upstreamCa, upstreamClientCert, upstreamClientKey, upstreamHttp2 } = settings
  if ((upstreamClientCert === undefined) !== (upstreamClientKey === undefined)) {
    yield '--upstream-client-cert and --upstream-client-key: give both, or neither'
  }
  if (upstream.some(({ url }) => url.startsWith('https:'))) return
  const idle = Object.entries({
    'upstream-ca': upstreamCa,
    'upstream-client-cert': upstreamClientCert,
    'upstream-client-key': upstreamClientKey,
    'upstream-http2': upstreamHttp2 || undefined,
  }).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`]))
  if (idle.length > 0) yield `${idle.join(', ')}: only for https: upstreams, and none is given`
}

/** What a host name resolves to is checked when refstream connects. */
function* deniedMistakes(settings: Settings, upstream: readonly Upstream[]): Generator<string> {
  const { upstreamDeny = [], upstreamRedirectHosts = [] } = settings
  const denied = blockListOf(upstreamDeny)
  const hosts = [
    ...upstream.map(({ url }) => ['upstream', url, new URL(url).hostname] as const),
    ...upstreamRedirectHosts.map(
      (host) => ['upstream-redirect-hosts', host, new URL(`http://${host}`).hostname] as const,
    ),
  ]
  for (const [option, value, hostname] of hosts) {
    const addresses = hostname === 'localhost' ? ['127.0.0.1', '::1'] : [hostname.replace(/^\[|\]$/g, '')]
    if (addresses.every((address) => isIn(denied, address))) {
      yield `--${option}: --upstream-deny forbids to connect to ${value}; take its network from the list`
    }
  }
}
