import { isLocal, socketMode, type Address, type UnixAddress } from '../values/addresses.js'
import type { Settings } from '../options/options.js'
import { ConfigError } from '../values/config-error.js'
import { fleetMistakes } from './fleet.js'
import { upstreamAuthenticates, upstreamMistakes } from './upstream.js'

/**
 * Refuses settings that contradict each other, and those that would expose repositories or the admin API without
 * authentication. Needs no file and no network.
 * @throws ConfigError with all mistakes
 */
export function crossCheck(settings: Settings): void {
  const mistakes = [
    ...upstreamMistakes(settings),
    ...fleetMistakes(settings),
    ...tlsMistakes(settings),
    ...accessMistakes(settings),
    ...addressMistakes(settings),
    ...loopMistakes(settings),
    ...rateMistakes(settings),
  ]
  if (mistakes.length > 0) throw new ConfigError(mistakes)
}

/** Returns each address with the name of its option. */
export function addressesOf({
  listen,
  admin = [],
  grpc,
}: Settings): (readonly [option: string, Address | UnixAddress])[] {
  const all = { listen: [listen], admin, grpc: grpc ? [grpc] : [] }
  return Object.entries(all).flatMap(([option, addresses]) =>
    addresses.map((address) => [option, address] as const),
  )
}

function* tlsMistakes(settings: Settings): Generator<string> {
  const { tlsCert, tlsKey, tlsClientCa, tlsClientNames, admin = [], adminTokenFile } = settings
  const encrypted = addressesOf(settings).filter(([, address]) => 'tls' in address)
  if (!(tlsCert && tlsKey)) {
    for (const option of new Set(encrypted.map(([option]) => option))) {
      yield `--${option}: a tls: address needs --tls-cert and --tls-key`
    }
  }
  if ((tlsClientNames ?? tlsClientCa) !== undefined && !tlsCert) {
    yield '--tls-client-ca and --tls-client-names are for tls: addresses; give --tls-cert too'
  }
  if (tlsClientNames !== undefined && tlsClientCa === undefined) {
    yield '--tls-client-names needs --tls-client-ca, which verifies the certificates that hold the names'
  }
  if (adminTokenFile === undefined && !admin.every(isLocal)) {
    yield '--admin: a public address needs --admin-token-file; or use loopback, or unix:/PATH'
  }
}

function* accessMistakes(settings: Settings): Generator<string> {
  const { listen, grpc, authTokens, authHtpasswd, authUrl, tlsClientCa, remoteUserHeader } = settings
  const files = authTokens ?? authHtpasswd
  if (authUrl !== undefined && files !== undefined) {
    yield '--auth-url cannot be combined with --auth-tokens or --auth-htpasswd; choose one'
  }
  if (remoteUserHeader !== undefined && (authUrl ?? files) !== undefined) {
    yield '--remote-user-header cannot be combined with --auth-…; choose one source of user names'
  }
  if (settings.access !== undefined && settings.accessFile !== undefined) {
    yield '--access and --access-file cannot be combined; write all rules into one of them'
  }
  if ((authUrl ?? files) !== undefined || settings.insecureNoAuth) return
  const byUpstream = upstreamAuthenticates(settings)
  for (const [option, address] of Object.entries({ listen, ...(grpc ? { grpc } : {}) })) {
    if (isLocal(address) || ('tls' in address && tlsClientCa !== undefined)) continue
    // Calls of gRPC clients never carry credentials for an upstream.
    if (option === 'listen' && byUpstream) continue
    yield `--${option}: a public address needs ${waysToLock(settings, option)}; or set --insecure-no-auth`
  }
}

function waysToLock({ upstream, upstreamCredentials }: Settings, option: string): string {
  if (!upstream || upstreamCredentials === 'service') {
    return '--auth-tokens, --auth-htpasswd, --auth-url, or tls: with --tls-client-ca'
  }
  return option === 'listen'
    ? '--auth-url, tls: with --tls-client-ca, or an --upstream for all repositories and no --upstream-client-cert'
    : '--auth-url, or tls: with --tls-client-ca'
}

function* rateMistakes({ clientRateLimit, clientRateBurst }: Settings): Generator<string> {
  if (clientRateBurst !== undefined && clientRateLimit === undefined)
    yield '--client-rate-burst needs --client-rate-limit, which says how fast the burst is given back'
}

/** Each address can be listened on once. */
function* addressMistakes(settings: Settings): Generator<string> {
  if (!('path' in settings.listen) && settings.listenMode !== socketMode) {
    yield '--listen-mode is for --listen unix:/PATH; leave it out'
  }
  if (settings.proxyProtocol && !settings.trustedProxies) {
    yield '--proxy-protocol needs --trusted-proxies, whose connections begin with its header'
  }
  const seen: (readonly [string, Address | UnixAddress])[] = []
  const { peer } = settings
  const all = [...addressesOf(settings), ...(peer ? [['peer', peer] as const] : [])]
  for (const [option, address] of all) {
    const other = seen.find(([, earlier]) => collide(address, earlier))
    if (other) {
      yield (
        `--${option}: ${format(address)} is taken by --${other[0]} ${format(other[1])}; ` +
        'give another address'
      )
    }
    seen.push([option, address])
  }
}

/** An upstream that is refstream itself would send each request round in a circle. */
function* loopMistakes(settings: Settings): Generator<string> {
  for (const { url } of settings.upstream ?? []) {
    const { hostname, port, protocol } = new URL(url)
    const upstream: Address = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || (protocol === 'https:' ? 443 : 80)),
    }
    const own = addressesOf(settings).find(([, address]) => reaches(upstream, address))
    if (own)
      yield `--upstream: ${url} is refstream’s own --${own[0]} ${format(own[1])}; give that of another server`
  }
}

/** Does a connection to an upstream's host and port arrive at this listener? Other names than localhost are not resolved. */
function reaches(upstream: Address, listener: Address | UnixAddress): boolean {
  if ('path' in listener || listener.port !== upstream.port) return false
  if (upstream.host === listener.host) return true
  if (!isLocal(upstream)) return false
  if (allHosts.includes(listener.host)) return true
  return isLocal(listener) && [upstream.host, listener.host].includes('localhost')
}

const allHosts = ['0.0.0.0', '::']

function collide(one: Address | UnixAddress, other: Address | UnixAddress): boolean {
  if ('path' in one || 'path' in other) return 'path' in one && 'path' in other && one.path === other.path
  // The system chooses another port for each port 0.
  if (one.port !== other.port || one.port === 0) return false
  return one.host === other.host || allHosts.includes(one.host) || allHosts.includes(other.host)
}

const format = (address: Address | UnixAddress): string =>
  'path' in address ? `unix:${address.path}` : `${address.host}:${address.port}`
