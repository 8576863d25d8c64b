import { BlockList, isIP } from 'node:net'

/** A network, or an address: a network of all its bits. */
export interface Network {
  readonly address: string
  readonly bits: number
}

/**
 * Networks by name. `loopback` has the unspecified addresses too: connecting to them reaches this machine. `link-local` has
 * the metadata services of clouds (169.254.169.254). `private`: RFC 1918, RFC 4193, and the shared addresses of RFC 6598.
 */
export const namedNetworks = {
  loopback: [network('127.0.0.0', 8), network('0.0.0.0', 8), network('::1', 128), network('::', 128)],
  'link-local': [network('169.254.0.0', 16), network('fe80::', 10)],
  private: [
    network('10.0.0.0', 8),
    network('172.16.0.0', 12),
    network('192.168.0.0', 16),
    network('100.64.0.0', 10),
    network('fc00::', 7),
  ],
} as const satisfies Record<string, readonly Network[]>

function network(address: string, bits: number): Network {
  return { address, bits }
}

/**
 * Parses an address, or a network as `ADDRESS/BITS`. An IPv4 network in IPv4-mapped form (`::ffff:10.0.0.0/104`) becomes the
 * IPv4 one. Returns undefined if it is neither.
 */
export function parseNetwork(value: string): Network | undefined {
  const [, address = '', given] = /^([\da-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(value) ?? []
  const all = isIP(address) === 4 ? 32 : 128
  const bits = Number(given ?? all)
  const [, mapped] = /^::ffff:([\d.]+)$/i.exec(address) ?? []
  if (mapped !== undefined && bits >= 96 && bits <= all) return network(mapped, bits - 96)
  return isIP(address) !== 0 && bits <= all ? network(address, bits) : undefined
}

/** Returns the networks that a name stands for, or the one that is given as for `parseNetwork`; undefined: it is neither. */
export function networksOf(value: string): readonly Network[] | undefined {
  if (Object.hasOwn(namedNetworks, value)) return namedNetworks[value as keyof typeof namedNetworks]
  const network = parseNetwork(value)
  return network && [network]
}

/** Makes a list whose `check` returns whether an address is in one of the networks; IPv4-mapped addresses count as IPv4. */
export function blockListOf(networks: readonly Network[]): BlockList {
  const blocked = new BlockList()
  for (const { address, bits } of networks) blocked.addSubnet(address, bits, familyOf(address))
  return blocked
}

/** Returns whether an address is in a list. A host name is in none. */
export function isIn(blocked: BlockList, address: string): boolean {
  return isIP(address) !== 0 && blocked.check(address, familyOf(address))
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4')
