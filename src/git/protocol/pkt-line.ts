/** pkt-line framing, gitprotocol-common(5). A length counts its own four hexadecimal digits; 0000 is a flush packet. */

export const flushPacket = Buffer.from('0000')

/** Returns a text, or bytes, as one pkt-line. */
export function pktLine(text: string | Buffer): Buffer {
  const payload = typeof text === 'string' ? Buffer.from(text) : text
  return Buffer.concat([Buffer.from((payload.length + 4).toString(16).padStart(4, '0')), payload])
}

/** Returns the length in the four digits at an offset; NaN if they are not digits. Reads bytes, for it runs per ref. */
export function packetLength(buffer: Buffer, at: number): number {
  let length = 0
  for (let index = at; index < at + 4; index++)
    length = length * 16 + (digitValues[buffer[index] ?? 0] as number)
  return length
}

const digitValues = Array.from({ length: 256 }, (_, code) => {
  const character = String.fromCharCode(code)
  return /[0-9a-fA-F]/.test(character) ? parseInt(character, 16) : NaN
})

/** What a packet is: a line of text, a special packet, the end of the buffer, or none that a client may send. */
export type PacketKind = 'line' | 'flush' | 'delimiter' | 'end' | 'malformed'

/** Bytes of the longest packet (pkt-line.h, LARGE_PACKET_MAX). */
const longestPacket = 65_520
const newline = 0x0a

/** Reads the packets of a whole buffer one after another, without copying: their places are numbers. */
export class PacketCursor {
  readonly bytes: Buffer
  /** Where the packet that was read last begins. */
  packetStart = 0
  /** Where its payload begins. */
  start = 0
  /** Where its text ends, which a newline may follow. */
  end = 0
  /** Where the next packet begins. */
  next = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** Reads the next packet. A packet that is cut, empty, too long, or has a length in capital letters is malformed. */
  read(): PacketKind {
    const { bytes, next } = this
    if (next === bytes.length) return 'end'
    const length = packetLength(bytes, next)
    const end = next + Math.max(length, 4)
    if (!(end <= bytes.length && length <= longestPacket) || hasCapitals(bytes, next)) return 'malformed'
    this.packetStart = next
    this.start = next + 4
    this.end = bytes[end - 1] === newline && length > 4 ? end - 1 : end
    this.next = end
    if (length > 4) return 'line'
    return length === 0 ? 'flush' : length === 1 ? 'delimiter' : 'malformed'
  }

  /** Returns the text of the line that was read last, bytes as Latin-1. */
  text(): string {
    return this.bytes.toString('latin1', this.start, this.end)
  }
}

/** Has a length capital digits? No client writes such. */
function hasCapitals(bytes: Buffer, at: number): boolean {
  return (
    isCapital(bytes[at]) || isCapital(bytes[at + 1]) || isCapital(bytes[at + 2]) || isCapital(bytes[at + 3])
  )
}

const isCapital = (digit = 0): boolean => digit >= 0x41 && digit <= 0x46
