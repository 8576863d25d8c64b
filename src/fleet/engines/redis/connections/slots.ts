/** Hash slots of a cluster. Source: the Redis Cluster specification. */
export const slotsCount = 16_384

/** Returns the slot of a key: the CRC of what stands between its first braces, or of all of it if that is nothing. */
export function slotOf(key: string): number {
  const tag = /^[^{]*\{([^}]+)\}/.exec(key)?.[1]
  return crc16(Buffer.from(tag ?? key)) % slotsCount
}

/** CRC-16/XMODEM: polynomial 0x1021, from 0. */
function crc16(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff
  }
  return crc
}
