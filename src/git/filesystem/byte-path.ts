/**
 * Conversion between paths, which are bytes, and text. Valid UTF-8 is decoded; each other byte becomes a lone surrogate,
 * U+DC80 to U+DCFF, which no UTF-8 decodes to (PEP 383, "surrogateescape"). So equal paths are equal texts, different
 * paths are different texts, and nearly every path is simply its name.
 */

const escaped = /[\uDC80-\uDCFF]/
/** The first half of a surrogate pair: what follows it is the second half and not an escaped byte. */
const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff

/** Returns the text for these bytes. */
export function pathText(bytes: Buffer): string {
  const text = bytes.toString()
  if (!text.includes('\uFFFD')) return text
  let path = ''
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at)
    path += length > 0 ? bytes.toString('utf8', at, at + length) : String.fromCharCode(0xdc00 + bytes[at]!)
    at += Math.max(1, length)
  }
  return path
}

/** Returns the bytes of a text that `pathText` has made. */
export function pathBytes(path: string): Buffer {
  if (!escaped.test(path)) return Buffer.from(path)
  const parts: Buffer[] = []
  let plain = ''
  for (let at = 0; at < path.length; at++) {
    const unit = path.charCodeAt(at)
    if (isHighSurrogate(unit) && at + 1 < path.length) plain += path.slice(at, ++at + 1)
    else if (unit >= 0xdc80 && unit <= 0xdcff) {
      parts.push(Buffer.from(plain), Buffer.of(unit - 0xdc00))
      plain = ''
    } else plain += path.charAt(at)
  }
  return Buffer.concat([...parts, Buffer.from(plain)])
}

/** Returns the argument for functions of node:fs: the text itself, unless bytes are escaped in it. */
export const systemPath = (path: string): string | Buffer => (escaped.test(path) ? pathBytes(path) : path)

/** Returns the length of the UTF-8 sequence that begins here; 0: there is no valid one (RFC 3629). */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at]!
  if (first < 0x80) return 1
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
  const character = bytes.subarray(at, at + length)
  // Decoding and encoding returns the same bytes only if they are well-formed.
  const wellFormed = first >= 0xc2 && Buffer.from(character.toString()).equals(character)
  return wellFormed && character.length === length ? length : 0
}
