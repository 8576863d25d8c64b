import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { Splice } from '../memory/splice.js'

/** One version in a file of revisions: how it differs from the version before. */
export interface RevisionRecord {
  readonly token: string
  /** Milliseconds since 1970. */
  readonly committedAt: number
  /** Bytes of the whole version. */
  readonly length: number
  readonly splices: readonly Splice[]
}

const suffix = '.revisions'

/** Returns the path of the revisions of a body. */
export const revisionsPath = (bodyPath: string): string => `${bodyPath}${suffix}`

/** Is this the name of a file of revisions? No body has such a name. */
export const isRevisionsName = (name: string): boolean => name.endsWith(suffix)

/**
 * Ends each record. A version of this program that does not know these files takes it for the footer of another format
 * (see metadata.ts), removes the file, and serves the base under the base's own token.
 */
const trailer = Buffer.from('rfstrm04')
const sumLength = 32
const prefixLength = 8

const headFields = z.strictObject({
  token: z.string(),
  committedAt: z.number(),
  length: z.int().min(0),
  /** Start, end, and number of new bytes. */
  splices: z.array(z.tuple([z.int().min(0), z.int().min(0), z.int().min(0)])),
})

/** Bytes to be written, and the checksum that the next record continues. */
export interface Encoded {
  readonly buffers: Buffer[]
  readonly length: number
  readonly checksum: Buffer
}

function encoded(parts: readonly Buffer[], previous: Buffer): Encoded {
  const hash = createHash('sha256').update(previous)
  let length = 0
  for (const part of parts) {
    hash.update(part)
    length += part.length
  }
  const checksum = hash.digest()
  return { buffers: [...parts, checksum, trailer], length: length + sumLength + trailer.length, checksum }
}

/** Returns the beginning of a file of revisions. @param sha256 of the base, in hexadecimal */
export function encodeHeader(sha256: string): Encoded {
  return encoded([Buffer.from(`refstream revisions 1\n${sha256}\n`)], Buffer.alloc(0))
}

/** @param previous the checksum before: a record is valid only behind the record that it was written behind */
export function encodeRecord(record: RevisionRecord, previous: Buffer): Encoded {
  const { token, committedAt, length } = record
  const splices = record.splices.map(({ start, end, bytes }) => [start, end, lengthOf(bytes)])
  const head = Buffer.from(JSON.stringify({ token, committedAt, length, splices }))
  const body = record.splices.flatMap(({ bytes }) => bytes)
  const prefix = Buffer.alloc(prefixLength)
  prefix.writeUInt32BE(head.length, 0)
  prefix.writeUInt32BE(lengthOf(body), 4)
  return encoded([prefix, head, ...body], previous)
}

const lengthOf = (parts: readonly Buffer[]): number => parts.reduce((sum, { length }) => sum + length, 0)

/** A range of a file of revisions that its reader asks for. */
export interface Extent {
  readonly at: number
  readonly length: number
}

/** A whole record, and where it ends. */
export interface FoundRecord {
  readonly record: RevisionRecord
  readonly end: number
  readonly checksum: Buffer
}

/**
 * Reads the whole records of a file: yields what is to be read, is resumed with these bytes (fewer: the file is shorter),
 * and passes each record on. Ends at the first byte that is not what was written.
 * @param size bytes that may be read
 * @param sha256 of the base, in hexadecimal
 */
export function* readRevisions(
  size: number,
  sha256: string,
  found: (found: FoundRecord) => void,
): Generator<Extent, void, Buffer> {
  const header = encodeHeader(sha256)
  if (header.length > size) return
  const start = yield { at: 0, length: header.length }
  if (!start.equals(Buffer.concat(header.buffers))) return
  for (let [at, previous] = [header.length, header.checksum]; at + prefixLength <= size;) {
    const prefix = yield { at, length: prefixLength }
    if (prefix.length < prefixLength) return
    const headLength = prefix.readUInt32BE(0)
    const length = headLength + prefix.readUInt32BE(4) + sumLength + trailer.length
    const end = at + prefixLength + length
    if (end > size) return
    const rest = yield { at: at + prefixLength, length }
    const checksum = checked(prefix, rest, length, previous)
    const record = checksum && decode(rest, headLength)
    if (!checksum || !record) return
    found({ record, end, checksum })
    at = end
    previous = checksum
  }
}

/** @returns the checksum of an intact record */
function checked(prefix: Buffer, rest: Buffer, length: number, previous: Buffer): Buffer | undefined {
  if (rest.length !== length) return undefined
  const end = length - sumLength - trailer.length
  const checksum = createHash('sha256').update(previous).update(prefix).update(rest.subarray(0, end)).digest()
  const isIntact = rest.subarray(end).equals(Buffer.concat([checksum, trailer]))
  return isIntact ? checksum : undefined
}

function decode(bytes: Buffer, headLength: number): RevisionRecord | undefined {
  try {
    const { splices, ...head } = headFields.parse(JSON.parse(bytes.toString('utf8', 0, headLength)))
    let at = headLength
    const withBytes = splices.map(([start, end, length]) => {
      const part = bytes.subarray(at, at + length)
      at += length
      return { start, end, bytes: [part] }
    })
    return { ...head, splices: withBytes }
  } catch {
    return undefined
  }
}
