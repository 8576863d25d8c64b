import { parseFetch, type FetchRequest } from '../../src/git/protocol/fetch-request.js'
import { flushPacket, pktLine } from '../../src/git/protocol/pkt-line.js'
import type { ProtocolVersion } from '../../src/git/protocol/version.js'

export const delimiter = Buffer.from('0001')

/** Object ids. */
export const sha1 = '1'.repeat(40)
export const sha256 = '2'.repeat(64)

/** Returns a fetch command of protocol v2. */
export const v2 = (capabilities: readonly string[], lines: readonly string[]): Buffer =>
  Buffer.concat([
    ...[pktLine('command=fetch'), ...capabilities.map(pktLine), delimiter],
    ...[...lines.map(pktLine), flushPacket],
  ])

/** Returns a request of protocol v0 or v1; an empty text stands for a flush packet. */
export const v0 = (...lines: readonly string[]): Buffer =>
  Buffer.concat(lines.map((line) => (line === '' ? flushPacket : pktLine(line))))

/** The first line of a request of protocol v0 or v1 that can be shared. */
export const sideBand = `want ${sha1} side-band-64k`

/** Parses a request that can be shared. @throws if it cannot */
export function parsed(body: Buffer, version: ProtocolVersion = 2): FetchRequest {
  const result = parseFetch(body, version)
  if (typeof result === 'string') throw new Error(`${result}: ${body.toString('latin1')}`)
  return result
}
