import { isIPv6 } from 'node:net'

/**
 * The clients that share one share of what there is: those of an IPv4 address, or of 64 bits of an IPv6 address, which
 * is what one site has at the least (RFC 6177) and can take addresses from as it likes.
 */
export function clientGroup(address: string): string {
  if (!address.includes(':')) return address
  const [plain = ''] = address.split('%')
  // IPv4 within IPv6, as a socket that listens for both gives it.
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
