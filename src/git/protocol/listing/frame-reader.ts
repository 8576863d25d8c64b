import { flushPacket, packetLength, pktLine } from '../pkt-line.js'

/** What stands around the refs of an advertisement. */
export interface Frame {
  /** What stands before the first ref: the service's name, a flush packet, in v1 the version. */
  readonly ahead: Buffer
  /** Of the first ref's line, behind the NUL; bytes as Latin-1. */
  readonly capabilities: string
  /** The lines about shallow commits, and the flush packet. */
  readonly behind: Buffer
}

const service = pktLine('# service=git-upload-pack\n')
const version1 = pktLine('version 1\n')
const firstRef = /^(?:[0-9a-f]{40}|[0-9a-f]{64}) ([^\0-\x20\x7f]+)\0([^\0\n]*)\n$/
const shallow = /^shallow [0-9a-f]+\n$/

type Place = 'service' | 'flush' | 'version' | 'first' | 'refs' | 'shallow' | 'end'

/** Reads the packets of an advertisement in protocol v0 or v1 (gitprotocol-pack(5), gitprotocol-http(5)). */
export class FrameReader {
  #place: Place = 'service'
  readonly #ahead: Buffer[] = []
  #capabilities = ''
  readonly #behind: Buffer[] = []
  /** The beginning of a packet that the end of a chunk has cut. */
  #cut = Buffer.alloc(0)

  /** Reads the next bytes. @returns false: they are not understood */
  push(chunk: Buffer): boolean {
    const data = this.#cut.length > 0 ? Buffer.concat([this.#cut, chunk]) : chunk
    let at = 0
    while (data.length >= at + 4) {
      const size = packetLength(data, at)
      if (!(size === 0 || size > 4)) return false
      const end = at + (size || 4)
      if (end > data.length) break
      if (!this.#packet(data, at, end)) return false
      at = end
    }
    this.#cut = Buffer.from(data.subarray(at))
    return true
  }

  /** Takes the next packet. @returns false: it cannot stand here */
  #packet(data: Buffer, start: number, end: number): boolean {
    // Nearly all packets are refs, and tell nothing.
    if (this.#place === 'refs' && isHexDigit(data[start + 4]) && end > start + 4) return true
    const packet = Buffer.from(data.subarray(start, end))
    switch (this.#place) {
      case 'service':
        return this.#isAhead(packet, service, 'flush')
      case 'flush':
        return this.#isAhead(packet, flushPacket, 'version')
      case 'version':
        if (this.#isAhead(packet, version1, 'first')) return true
        return this.#isFirst(packet)
      case 'first':
        return this.#isFirst(packet)
      case 'refs':
      case 'shallow':
        return this.#isBehind(packet)
      case 'end':
        return false
    }
  }

  #isAhead(packet: Buffer, expected: Buffer, next: Place): boolean {
    if (!packet.equals(expected)) return false
    this.#ahead.push(packet)
    this.#place = next
    return true
  }

  #isFirst(packet: Buffer): boolean {
    const [, name, capabilities] = firstRef.exec(packet.toString('latin1', 4)) ?? []
    // What stands in the place of a ref if there is none.
    if (name === undefined || capabilities === undefined || name === 'capabilities^{}') return false
    this.#capabilities = capabilities
    this.#place = 'refs'
    return true
  }

  #isBehind(packet: Buffer): boolean {
    const isEnd = packet.equals(flushPacket)
    if (!isEnd && !shallow.test(packet.toString('latin1', 4))) return false
    this.#behind.push(packet)
    this.#place = isEnd ? 'end' : 'shallow'
    return true
  }

  /** Returns what was read; undefined: there is no end. */
  end(): Frame | undefined {
    if (this.#place !== 'end' || this.#cut.length > 0) return undefined
    const [ahead, behind] = [this.#ahead, this.#behind].map((packets) => Buffer.concat(packets))
    return { ahead: ahead!, capabilities: this.#capabilities, behind: behind! }
  }
}

const isHexDigit = (byte = 0): boolean => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66)
