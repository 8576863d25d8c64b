import { createHash } from 'node:crypto'
import { z } from 'zod'

/**
 * A committed file is the entry's bytes, then this footer. It stands at the end because the length and the checksum are
 * known only then:
 *
 *   body | JSON of the fields | its length: 32 bits, big-endian | SHA-256 of the two before | magic word
 *
 * So every bit of the file is covered: the body by the SHA-256 in the JSON, the JSON by the one behind it.
 */
const fields = z.strictObject({
  key: z.string(),
  token: z.string(),
  /** Bytes of the entry, without the footer. */
  length: z.int().min(0),
  /** SHA-256 of those bytes, in hexadecimal. */
  sha256: z.string().length(64),
  /** Milliseconds since 1970. */
  committedAt: z.number(),
})

export type Footer = z.output<typeof fields>

/** The last two digits count the formats. `rfstrm01` had no checksum of its own. */
const magic = Buffer.from('rfstrm02')
const lengthSize = 4
const digestSize = 32

/** Bytes at the very end, from which the rest of a footer can be found. */
export const tailLength = lengthSize + digestSize + magic.length

export function encodeFooter({ key, token, length, sha256, committedAt }: Footer): Buffer {
  const json = Buffer.from(JSON.stringify({ key, token, length, sha256, committedAt }))
  const size = Buffer.alloc(lengthSize)
  size.writeUInt32BE(json.length)
  return Buffer.concat([json, size, digestOf(json, size), magic])
}

const digestOf = (json: Buffer, size: Buffer): Buffer =>
  createHash('sha256').update(json).update(size).digest()

/** Returns the length in bytes of the JSON, from a file's last `tailLength` bytes; undefined if these end no footer. */
export function footerLength(tail: Buffer): number | undefined {
  if (tail.length !== tailLength || !tail.subarray(-magic.length).equals(magic)) return undefined
  return tail.readUInt32BE(0)
}

/** Do these bytes end a file that another version of this program has written? */
export function endsOtherFormat(tail: Buffer): boolean {
  const word = tail.toString('latin1', tail.length - magic.length)
  return /^rfstrm\d\d$/.test(word) && word !== magic.toString()
}

/**
 * Returns the fields of a whole footer, from the first byte of its JSON to the end of the file; undefined if any byte
 * of it is not as it was written.
 */
export function decodeFooter(footer: Buffer): Footer | undefined {
  try {
    const read = fields.parse(JSON.parse(footer.toString('utf8', 0, footer.length - tailLength)))
    // Written anew, it is the same to the byte: its digest is right, and it says nothing twice or besides.
    return encodeFooter(read).equals(footer) ? read : undefined
  } catch {
    return undefined
  }
}
