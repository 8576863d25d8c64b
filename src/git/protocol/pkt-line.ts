/** pkt-line framing, gitprotocol-common(5). A length counts its own four hexadecimal digits; 0000 is a flush packet. */

export const flushPacket = Buffer.from('0000')

/** Returns a text as one pkt-line. */
export function pktLine(text: string): Buffer {
  const payload = Buffer.from(text)
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
