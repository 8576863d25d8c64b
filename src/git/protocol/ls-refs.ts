import { flushPacket, packetLength, pktLine } from './pkt-line.js'

const newline = 0x0a

/** Which refs a request asks for, and which attributes of them (gitprotocol-v2(5), "ls-refs"). */
export interface RefQuery {
  /** Show what annotated tags point to. */
  readonly peel: boolean
  /** Show where symbolic refs point. */
  readonly symrefs: boolean
  /** Show HEAD even if it points to an unborn branch. */
  readonly unborn: boolean
  /** Show only refs that begin with one of these, bytes as Latin-1; none: show all. */
  readonly prefixes: readonly string[]
}

/** An ls-refs command of protocol v2. */
export interface LsRefsRequest extends RefQuery {
  readonly objectFormat: string
}

/** Returns the prefixes that Git applies: with 65,536 or more it shows all refs (ls-refs.c, TOO_MANY_PREFIXES). */
export const countedPrefixes = (prefixes: string[]): string[] => (prefixes.length < 65_536 ? prefixes : [])

/**
 * Parses a whole request body. undefined for everything that is not exactly one well-formed ls-refs command whose answer
 * depends on the refs alone: with server options, unknown capabilities or arguments, or anything that Git might refuse.
 * Git itself answers those.
 */
export function parseLsRefs(body: Buffer): LsRefsRequest | undefined {
  const packets = splitPackets(body)
  if (packets?.shift() !== 'command=ls-refs' || packets.pop() !== '0000') return undefined
  const delimiter = packets.indexOf('0001')
  const capabilities = delimiter < 0 ? packets : packets.slice(0, delimiter)
  const parameters = delimiter < 0 ? [] : packets.slice(delimiter + 1)

  let objectFormat = 'sha1'
  for (const capability of capabilities) {
    const [, format] = /^object-format=(sha1|sha256)$/.exec(capability) ?? []
    if (format !== undefined) objectFormat = format
    else if (!/^agent=[\x21-\x7e]*$/.test(capability)) return undefined
  }
  const flags = { peel: false, symrefs: false, unborn: false }
  const prefixes: string[] = []
  for (const parameter of parameters) {
    if (parameter === 'peel' || parameter === 'symrefs' || parameter === 'unborn') flags[parameter] = true
    else if (parameter.startsWith('ref-prefix ')) prefixes.push(parameter.slice('ref-prefix '.length))
    else return undefined
  }
  return { objectFormat, ...flags, prefixes: countedPrefixes(prefixes) }
}

/**
 * Returns the packets of a buffer, each without a newline at its end; flush and delimiter packets as `0000` and `0001`.
 * undefined: the last is cut, or something is not a packet of text.
 */
function splitPackets(buffer: Buffer): string[] | undefined {
  const packets: string[] = []
  const text = buffer.toString('latin1')
  // Git would read a packet only up to the NUL.
  if (text.includes('\0')) return undefined
  for (let at = 0; at < buffer.length;) {
    if (at + 4 > buffer.length) return undefined
    const length = packetLength(buffer, at)
    if (length === 0 || length === 1) {
      packets.push(`000${length}`)
      at += 4
      continue
    }
    if (!(length > 4)) return undefined
    const end = at + length
    if (end > buffer.length) return undefined
    packets.push(text.slice(at + 4, buffer[end - 1] === newline ? end - 1 : end))
    at = end
  }
  return packets
}

/**
 * Returns the request whose answer contains every answer to an ls-refs of this object format.
 * @param prefixes of names, bytes as Latin-1: only those refs; left out: all
 */
export function completeLsRefs(objectFormat: string, prefixes: readonly string[] = []): Buffer {
  return Buffer.concat([
    pktLine('command=ls-refs\n'),
    pktLine(`object-format=${objectFormat}\n`),
    Buffer.from('0001'),
    ...['peel\n', 'symrefs\n', 'unborn\n'].map(pktLine),
    ...prefixes.map((prefix) => pktLine(Buffer.from(`ref-prefix ${prefix}\n`, 'latin1'))),
    flushPacket,
  ])
}
