import { isIPv6 } from 'node:net'

const start = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** Makes a PROXY protocol header of version 1. */
export const header1 = (source: string, destination = isIPv6(source) ? '::1' : '127.0.0.1'): Buffer =>
  Buffer.from(`PROXY TCP${isIPv6(source) ? 6 : 4} ${source} ${destination} 40000 443\r\n`)

/** Makes one of version 2 from its parts. @param command version and command @param family address family and transport */
export function rawHeader2(command: number, family: number, rest: Buffer, length = rest.length): Buffer {
  return Buffer.concat([start, Buffer.from([command, family, length >> 8, length & 255]), rest])
}

/** Makes one of version 2 for a TCP connection. @param extensions bytes after the addresses (TLVs) */
export function header2(source: string, extensions = Buffer.alloc(0)): Buffer {
  const isSix = isIPv6(source)
  const [from, to] = [bytesOf(source), bytesOf(isSix ? '::1' : '127.0.0.1')]
  const ports = Buffer.from([0x9c, 0x40, 0x01, 0xbb])
  return rawHeader2(0x21, isSix ? 0x21 : 0x11, Buffer.concat([from, to, ports, extensions]))
}

/** Returns a header and the text after it. */
export const before = (header: Buffer, text: string): Buffer => Buffer.concat([header, Buffer.from(text)])

function bytesOf(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number))
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = [], tail] = text.split('::').map((part) => part.split(':').filter(Boolean))
  const zeros = Array<string>(8 - head.length - (tail?.length ?? 0)).fill('0')
  const groups = [...head, ...zeros, ...(tail ?? [])]
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
}
