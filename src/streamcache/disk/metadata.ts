import { createHash } from 'node:crypto'
import * as z from 'zod'

/**
 * A committed entry is two files: its body under its name, and beside it, under the same name with `.meta`, one JSON
 * object that describes the body. A checksum covers every bit of both: `sha256` covers the body, `checksum` covers the
 * JSON before it.
 */
const fields = z.strictObject({
  format: z.number(),
  key: z.string(),
  token: z.string(),
  /** Bytes of the body. */
  length: z.int().min(0),
  /** SHA-256 of the body, in hexadecimal. */
  sha256: z.string().length(64),
  /** Milliseconds since 1970. */
  committedAt: z.number(),
  /** SHA-256 of the JSON object of the fields above, in hexadecimal. */
  checksum: z.string(),
})

export type Metadata = Omit<z.output<typeof fields>, 'format' | 'checksum'>

/** Formats 1 and 2 had no such file: their metadata was a footer behind the body, which ended in `rfstrm01`, `rfstrm02`. */
const format = 3
const suffix = '.meta'
const otherFormat = /^\{"format":(\d+),/
const footerEnd = /^rfstrm\d\d$/

/** Bytes at the very end of a file that tell whether it has a footer. */
export const footerEndLength = 8

/** Returns the path of the metadata of a body. */
export const metadataPath = (bodyPath: string): string => `${bodyPath}${suffix}`

/** Is this the name of a metadata file? No body has such a name. */
export const isMetadataName = (name: string): boolean => name.endsWith(suffix)

/** Returns the bytes of a metadata file. */
export function encodeMetadata({ key, token, length, sha256, committedAt }: Metadata): Buffer {
  const json = JSON.stringify({ format, key, token, length, sha256, committedAt })
  const checksum = createHash('sha256').update(json).digest('hex')
  return Buffer.from(`${json.slice(0, -1)},"checksum":"${checksum}"}\n`)
}

/** Returns the fields of a metadata file; undefined if any byte of it was changed, or if it has another format. */
export function decodeMetadata(bytes: Buffer): Metadata | undefined {
  try {
    const { key, token, length, sha256, committedAt } = fields.parse(JSON.parse(bytes.toString()))
    const metadata = { key, token, length, sha256, committedAt }
    // Encoding it again gives the same bytes only if format and checksum are right, and no key of the JSON is there twice.
    return encodeMetadata(metadata).equals(bytes) ? metadata : undefined
  } catch {
    return undefined
  }
}

/** Was this metadata file written by a version of this program with another format? */
export function hasOtherFormat(bytes: Buffer): boolean {
  const found = otherFormat.exec(bytes.toString('latin1', 0, 32))
  return found !== null && found[1] !== String(format)
}

/** Do these last `footerEndLength` bytes of a body end a footer, as files of formats 1 and 2 do? */
export const endsInFooter = (end: Buffer): boolean => footerEnd.test(end.toString('latin1'))
