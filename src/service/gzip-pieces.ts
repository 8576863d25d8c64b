import { promisify } from 'node:util'
import zlib from 'node:zlib'
import type { Rope } from '../streamcache/index.js'
import { combineCrc32 } from './crc32.js'

/** What is known of a chunk that was compressed for itself. */
interface Piece {
  /** Whole blocks of deflate (RFC 1951) that refer to nothing before them. */
  readonly bytes: WeakRef<Buffer>
  /** Of the chunk. */
  readonly crc32: number
}

const deflateRaw = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.deflateRaw)

/** The flush ends on a byte boundary, with an empty stored block, and no block is marked as the last. */
const options = { level: 1, chunkSize: 64 * 1024, finishFlush: zlib.constants.Z_SYNC_FLUSH }

/** RFC 1952, section 2.3: deflate, no flags, no time, the fastest algorithm, an unknown system. */
const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff])

/** An empty last block with fixed codes (RFC 1951, section 3.2.6). */
const lastBlock = Buffer.from([3, 0])

/**
 * Compresses ropes with gzip, each chunk for itself, so that versions that share chunks share the compressed pieces too. All
 * pieces are in one member of one stream, which every client of gzip can read. Frames of zstd could follow one another as
 * well (RFC 8878, section 3.1), but there are clients that stop at the end of the first, some without an error: aiohttp
 * (issue 12234), mitmproxy (issue 6914), and urllib3, reqwest and xh before they were corrected.
 */
export class GzipPieces {
  /** A piece is found by its chunk, and takes memory only while a form has it. */
  readonly #pieces = new WeakMap<Buffer, Piece>()

  /** Resolves with a whole gzip stream. Compresses only those chunks of which no form in memory has a piece. */
  async gzip({ chunks, length }: Pick<Rope, 'chunks' | 'length'>): Promise<Buffer[]> {
    const stream: Buffer[] = [header]
    let crc32 = 0
    for (const chunk of chunks) {
      const known = this.#pieces.get(chunk)
      const bytes = known?.bytes.deref()
      const piece = known && bytes ? { bytes, crc32: known.crc32 } : await this.#compress(chunk)
      stream.push(piece.bytes)
      crc32 = combineCrc32(crc32, piece.crc32, chunk.length)
    }
    const checks = Buffer.alloc(8)
    checks.writeUInt32LE(crc32)
    checks.writeUInt32LE(length % 2 ** 32, 4)
    stream.push(Buffer.concat([lastBlock, checks]))
    return stream
  }

  async #compress(chunk: Buffer): Promise<{ bytes: Buffer; crc32: number }> {
    // A copy, because the result is a view of a buffer of chunkSize.
    const bytes = Buffer.from(await deflateRaw(chunk, options))
    const crc32 = zlib.crc32(chunk)
    this.#pieces.set(chunk, { bytes: new WeakRef(bytes), crc32 })
    return { bytes, crc32 }
  }
}
