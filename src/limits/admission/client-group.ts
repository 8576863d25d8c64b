import { isIPv6 } from 'node:net'

/**
 * Returns the group of a client's address; the clients of a group have one share together. A group is an IPv4 address, or
 * the first 64 bits of an IPv6 address: a site has at least such a prefix (RFC 6177), and may use any address in it.
 */
export function clientGroup(address: string): string {
  if (!address.includes(':')) return address
  const [plain = ''] = address.split('%')
  // IPv4-mapped IPv6 address, as reported by a socket that listens for both.
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain) ?? []
  if (mapped !== undefined) return mapped
  if (!isIPv6(plain)) return address
  const [head = '', tail] = plain.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0)
    while (groups.length + after < 8) groups.push('0')
    groups.push(...(tail === '' ? [] : tail.split(':')))
  }
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
