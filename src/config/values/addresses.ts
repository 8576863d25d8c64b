import { BlockList, isIP } from 'node:net'

/** A host and a port, as `--listen` takes them, after `tls:` for TLS. The system chooses a free port for port 0. */
export interface Address {
  readonly host: string
  readonly port: number
  /** Present if clients connect with TLS. */
  readonly tls?: true
}

/** A Unix socket, written `unix:/path`. */
export interface UnixAddress {
  readonly path: string
}

/** Longest path of a Unix socket in bytes: `sun_path` has 108, of which the last is zero (unix(7)). */
export const socketPathMax = 107

/** Permissions of sockets: those who can connect to an admin API can open leases, so they are owner and group only. */
export const socketMode = 0o660

/** Where the admin API listens if `--admin` is not given; `serve` takes a free port if this one is in use. */
export const defaultAdminAddress: Address = { host: '127.0.0.1', port: 8081 }

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * Returns whether only processes on this machine can connect to an address. A host name other than `localhost` counts as
 * public, whatever it resolves to now.
 */
export function isLocal(address: Address | UnixAddress): boolean {
  if ('path' in address) return true
  const { host } = address
  const version = isIP(host)
  return version === 0 ? host === 'localhost' : loopback.check(host, `ipv${version as 4 | 6}`)
}

/** Returns the URL of an address, `http://HOST:PORT` or `https://HOST:PORT`; for a Unix socket, `unix:/path`. */
export function urlOf(address: Address | UnixAddress): string {
  if ('path' in address) return `unix:${address.path}`
  const { host, port, tls } = address
  return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Returns an address as `--listen` takes it. */
export function addressText(address: Address | UnixAddress): string {
  if ('path' in address) return `unix:${address.path}`
  const { host, port, tls } = address
  return `${tls ? 'tls:' : ''}${host.includes(':') ? `[${host}]` : host}:${port}`
}
