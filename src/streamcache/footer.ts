import { z } from 'zod'

/**
 * A committed file is the entry's bytes, then this footer: its fields as JSON, the JSON's length (32 bits, big-endian),
 * and a magic word. It stands at the end because the length and the checksum are known only then.
 */
const fields = z.object({
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

const magic = Buffer.from('rfstrm01')
/** Bytes at the very end, from which the rest of a footer can be found. */
export const tailLength = 4 + magic.length

export function encodeFooter(footer: Footer): Buffer {
  const json = Buffer.from(JSON.stringify(footer))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([json, length, magic])
}

/** Length in bytes of the JSON, from a file's last `tailLength` bytes; undefined if these end no footer. */
export function footerLength(tail: Buffer): number | undefined {
  if (tail.length !== tailLength || !tail.subarray(4).equals(magic)) return undefined
  return tail.readUInt32BE(0)
}

/** undefined if the JSON is not a footer's. */
export function decodeFooter(json: Buffer): Footer | undefined {
  try {
    return fields.parse(JSON.parse(json.toString()))
  } catch {
    return undefined
  }
}
