import { isIPv4, isIPv6 } from 'node:net'
import { addressIn } from '../../access/proxies.js'

/** A header of the PROXY protocol (haproxy.org, doc/proxy-protocol.txt). */
export interface ProxyHeader {
  /** Bytes of the header; what comes after them is the client's. */
  readonly length: number
  /**
   * The client's address in canonical form; undefined: the proxy names none, since the connection is its own (LOCAL), or that
   * of a client without an IP address (UNKNOWN).
   */
  readonly source: string | undefined
}

/** The bytes are not a header. */
export class BadProxyHeader extends Error {
  override readonly name = 'BadProxyHeader'
}

/** Longest header of version 1 in bytes, as the specification says. */
const lengthMax1 = 107
/** Longest header of version 2 in bytes that is accepted: addresses have 36, and the rest is for extensions (TLVs). */
const lengthMax2 = 4096

const start1 = Buffer.from('PROXY ')
const start2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** Bytes of version 2 before the addresses: the start, version and command, family, and the length of what follows. */
const fixedLength = start2.length + 4

/**
 * Parses the header at the start of a connection.
 * @returns undefined if more bytes are needed to tell
 * @throws BadProxyHeader as soon as the bytes cannot become a header
 */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (beginsLike(bytes, start2)) return bytes.length < fixedLength ? undefined : parse2(bytes)
  if (!beginsLike(bytes, start1)) throw new BadProxyHeader('it begins like neither version')
  const end = bytes.subarray(0, lengthMax1).indexOf('\n')
  if (end >= 0) return { length: end + 1, source: sourceIn(bytes.toString('latin1', 0, end + 1)) }
  if (bytes.length >= lengthMax1) throw new BadProxyHeader(`version 1 is longer than ${lengthMax1} bytes`)
  return undefined
}

/** Returns whether the bytes begin with `start`, as far as they go. */
function beginsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.subarray(0, length).equals(start.subarray(0, length))
}

/** @throws BadProxyHeader */
function sourceIn(line: string): string | undefined {
  if (/^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/.test(line)) return undefined
  const [, family, source = '', destination = '', ...ports] =
    /^PROXY (TCP[46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/.exec(line) ?? []
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6
  const isSound =
    family !== undefined &&
    [source, destination].every((address) => isAddress(address) && !address.includes('%')) &&
    ports.every((port) => Number(port) <= 65_535)
  if (!isSound) throw new BadProxyHeader('version 1 has no addresses and ports')
  return addressIn(source)
}

/** Families and transports of version 2; other values are reserved. */
const [stream4, stream6] = [0x11, 0x21]
const knownFamilies = new Set([0x00, stream4, 0x12, stream6, 0x22, 0x31, 0x32])

/** @throws BadProxyHeader */
function parse2(bytes: Buffer): ProxyHeader | undefined {
  const [versionAndCommand = 0, family = 0] = bytes.subarray(start2.length)
  const isProxied = versionAndCommand === 0x21
  if (!isProxied && versionAndCommand !== 0x20) throw new BadProxyHeader('its version or command is unknown')
  if (!knownFamilies.has(family)) throw new BadProxyHeader('its family is unknown')
  const addresses = bytes.readUInt16BE(fixedLength - 2)
  const length = fixedLength + addresses
  if (length > lengthMax2) throw new BadProxyHeader(`version 2 is longer than ${lengthMax2} bytes`)
  // Two addresses and two ports come first.
  const needed = !isProxied ? 0 : family === stream4 ? 12 : family === stream6 ? 36 : 0
  if (addresses < needed) throw new BadProxyHeader('version 2 is too short for its addresses')
  if (bytes.length < length) return undefined
  if (needed === 0) return { length, source: undefined }
  const source = bytes.subarray(fixedLength, fixedLength + (family === stream4 ? 4 : 16))
  return { length, source: addressIn(family === stream4 ? source.join('.') : ipv6Text(source)) }
}

const ipv6Text = (bytes: Buffer): string => bytes.toString('hex').replace(/(.{4})(?=.)/g, '$1:')
