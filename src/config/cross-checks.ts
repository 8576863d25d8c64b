import { BlockList, isIP } from 'node:net'
import type { Address, Settings, UnixAddress } from './options.js'
import { ConfigError } from './settings.js'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** May only this machine's own users come in? A name counts as other people's, whatever it means now. */
export function isLocal(address: Address | UnixAddress): boolean {
  if ('path' in address) return true
  const { host } = address
  const version = isIP(host)
  return version === 0 ? host === 'localhost' : loopback.check(host, `ipv${version as 4 | 6}`)
}

/** The names by which admin addresses are called: as they were given, and more that were said. */
export function adminHosts({ admin = [], adminHosts = [] }: Settings): string[] {
  return [...admin.flatMap((address) => ('host' in address ? [address.host] : [])), ...adminHosts]
}

/**
 * Refuses settings that do not go together, and those by which everybody could come in where hardly anybody means it.
 * @throws ConfigError with all mistakes
 */
export function checkExposure(settings: Settings): void {
  const mistakes = [...tlsMistakes(settings), ...dataMistakes(settings), ...addressMistakes(settings)]
  if (mistakes.length > 0) throw new ConfigError(mistakes)
}

/** Each address, with the flag that gives it. */
function addressesOf({ listen, admin = [], grpc }: Settings): (readonly [string, Address | UnixAddress])[] {
  const all = { listen: [listen], admin, grpc: grpc ? [grpc] : [] }
  return Object.entries(all).flatMap(([option, list]) =>
    list.map((address) => [`--${option}`, address] as const),
  )
}

function* tlsMistakes(settings: Settings): Generator<string> {
  const { tlsCert, tlsKey, tlsClientCa, tlsClientNames, admin = [], adminTokenFile } = settings
  const encrypted = addressesOf(settings).filter(([, address]) => 'tls' in address)
  if (!(tlsCert && tlsKey)) {
    for (const option of new Set(encrypted.map(([name]) => name))) {
      yield `${option}: a tls: address needs --tls-cert and --tls-key`
    }
  }
  if ((tlsClientNames ?? tlsClientCa) !== undefined && !tlsCert) {
    yield '--tls-client-ca and --tls-client-names are for tls: addresses; give --tls-cert too'
  }
  if (tlsClientNames !== undefined && tlsClientCa === undefined) {
    yield '--tls-client-names needs --tls-client-ca: somebody must vouch for the names'
  }
  if (adminTokenFile === undefined && !admin.every(isLocal)) {
    yield '--admin: an address that others can reach needs --admin-token-file; or use loopback, or unix:/PATH'
  }
}

function* dataMistakes(settings: Settings): Generator<string> {
  const { listen, grpc, authTokens, authHtpasswd, authUrl, tlsClientCa, remoteUserHeader } = settings
  const files = authTokens ?? authHtpasswd
  if (authUrl !== undefined && files !== undefined) {
    yield '--auth-url does not go with --auth-tokens and --auth-htpasswd: one of them decides'
  }
  if (remoteUserHeader !== undefined && (authUrl ?? files) !== undefined) {
    yield '--remote-user-header does not go with --auth-…: names come from one place'
  }
  if ((authUrl ?? files) !== undefined || settings.insecureNoAuth) return
  for (const [option, address] of Object.entries({ listen, ...(grpc ? { grpc } : {}) })) {
    if (isLocal(address) || ('tls' in address && tlsClientCa !== undefined)) continue
    yield (
      `--${option}: an address that others can reach needs --auth-tokens, --auth-htpasswd, --auth-url, or tls: with ` +
      '--tls-client-ca; or say --insecure-no-auth'
    )
  }
}

/** One address can be listened on once. */
function* addressMistakes(settings: Settings): Generator<string> {
  const seen: (readonly [string, Address | UnixAddress])[] = []
  for (const [option, address] of addressesOf(settings)) {
    const other = seen.find(([, before]) => collide(address, before))
    if (other)
      yield `${option}: ${spell(address)} is taken by ${other[0]} ${spell(other[1])}; give another one`
    seen.push([option, address])
  }
}

const everyHost = ['0.0.0.0', '::']

function collide(one: Address | UnixAddress, other: Address | UnixAddress): boolean {
  if ('path' in one || 'path' in other) return 'path' in one && 'path' in other && one.path === other.path
  // Port 0 is one of its own each time.
  if (one.port !== other.port || one.port === 0) return false
  return one.host === other.host || everyHost.includes(one.host) || everyHost.includes(other.host)
}

const spell = (address: Address | UnixAddress): string =>
  'path' in address ? `unix:${address.path}` : `${address.host}:${address.port}`
