import { BlockList, isIP } from 'node:net'
import type { Address, Settings, UnixAddress } from '../config/options.js'
import { ConfigError } from '../config/settings.js'

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
 * Refuses settings by which everybody could come in where hardly anybody means it.
 * @throws ConfigError
 */
export function checkExposure(settings: Settings): void {
  const admin = settings.admin ?? []
  const addresses = { listen: [settings.listen], admin, grpc: settings.grpc ? [settings.grpc] : [] }
  for (const [option, list] of Object.entries(addresses)) {
    if (list.some((address) => 'tls' in address) && !(settings.tlsCert && settings.tlsKey)) {
      throw new ConfigError(`--${option}: a tls: address needs --tls-cert and --tls-key`)
    }
  }
  if ((settings.tlsClientNames ?? settings.tlsClientCa) !== undefined && !settings.tlsCert) {
    throw new ConfigError(
      '--tls-client-ca and --tls-client-names are for tls: addresses; give --tls-cert too',
    )
  }
  if (settings.tlsClientNames !== undefined && settings.tlsClientCa === undefined) {
    throw new ConfigError('--tls-client-names needs --tls-client-ca: somebody must vouch for the names')
  }
  if (settings.adminTokenFile === undefined && !admin.every(isLocal)) {
    throw new ConfigError(
      '--admin: an address that others can reach needs --admin-token-file; or use loopback, or unix:/PATH',
    )
  }
  checkData(settings)
}

function checkData(settings: Settings): void {
  const { listen, grpc, authTokens, authHtpasswd, authUrl, tlsClientCa, remoteUserHeader } = settings
  const files = authTokens ?? authHtpasswd
  if (authUrl !== undefined && files !== undefined) {
    throw new ConfigError(
      '--auth-url does not go with --auth-tokens and --auth-htpasswd: one of them decides',
    )
  }
  if (remoteUserHeader !== undefined && (authUrl ?? files) !== undefined) {
    throw new ConfigError('--remote-user-header does not go with --auth-…: names come from one place')
  }
  if ((authUrl ?? files) !== undefined || settings.insecureNoAuth) return
  for (const [option, address] of Object.entries({ listen, ...(grpc ? { grpc } : {}) })) {
    if (isLocal(address) || ('tls' in address && tlsClientCa !== undefined)) continue
    throw new ConfigError(
      `--${option}: an address that others can reach needs --auth-tokens, --auth-htpasswd, --auth-url, or tls: with ` +
        '--tls-client-ca; or say --insecure-no-auth',
    )
  }
}
