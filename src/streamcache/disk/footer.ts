import { createHash } from 'node:crypto'
import { z } from 'zod'

/**
 * A committed file is the entry's bytes followed by this footer, since length and checksum are known only at the end:
 *
 *   body | JSON of the fields | its length: 32 bits, big-endian | SHA-256 of the two before | magic word
 *
 * So a checksum covers every bit of the file: the SHA-256 in the JSON covers the body, the one behind it the JSON.
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

/** The last two digits are the version of the format. The footer of `rfstrm01` had no checksum of its own. */
const magic = Buffer.from('rfstrm02')
const lengthSize = 4
const digestSize = 32

/** Bytes at the very end from which the beginning of the footer can be found. */
export const tailLength = lengthSize + digestSize + magic.length

/** Returns the bytes of a footer. */
export function encodeFooter({ key, token, length, sha256, committedAt }: Footer): Buffer {
  const json = Buffer.from(JSON.stringify({ key, token, length, sha256, committedAt }))
  const size = Buffer.alloc(lengthSize)
  size.writeUInt32BE(json.length)
  return Buffer.concat([json, size, digestOf(json, size), magic])
}

const digestOf = (json: Buffer, size: Buffer): Buffer =>
  createHash('sha256').update(json).update(size).digest()

/** Returns the length of the JSON in bytes, from a file's last `tailLength` bytes; undefined if these end no footer. */
export function footerLength(tail: Buffer): number | undefined {
  if (tail.length !== tailLength || !tail.subarray(-magic.length).equals(magic)) return undefined
  return tail.readUInt32BE(0)
}

/** Do these bytes end a file that was written by a version of this program with another format? */
export function endsOtherFormat(tail: Buffer): boolean {
  const word = tail.toString('latin1', tail.length - magic.length)
  return /^rfstrm\d\d$/.test(word) && word !== magic.toString()
}

/**
 * Returns the fields of a whole footer, given its bytes from the JSON's first to the end of the file; undefined if any
 * byte of it was changed.
 */
export function decodeFooter(footer: Buffer): Footer | undefined {
  try {
    const read = fields.parse(JSON.parse(footer.toString('utf8', 0, footer.length - tailLength)))
    // Encoding it again gives the same bytes only if its digest is right and its JSON has no additional or duplicate key.
    return encodeFooter(read).equals(footer) ? read : undefined
  } catch {
    return undefined
  }
}
