import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { constants, gunzip as gunzipCallback } from 'node:zlib'
import { mayBeLsRefs, parseLsRefs, type LsRefsRequest } from '../git/ls-refs.js'
import { nextChunk } from '../git/next-chunk.js'
import { Refusal } from './responses.js'

const gunzip = promisify(gunzipCallback)

/** Bytes up to which a body is read, and inflated, to see whether it is an ls-refs command. */
const peekMax = 64 * 1024
/** Compressed bytes that are sure to hold the first packet, and can inflate to half a megabyte at the most. */
const firstPacketMax = 512

/** A request body whose beginning has been read. */
export interface Peeked {
  /** What has been read of it, as it was sent. */
  readonly beginning: Buffer
  /** Is that all? */
  readonly ended: boolean
  /** The command that it is, if it is one that need not go to Git. */
  readonly lsRefs: LsRefsRequest | undefined
}

/**
 * Reads a body up to where it is clear that it is no ls-refs command: mostly its first packet, and never more than
 * `peekMax` bytes. A longer ls-refs command is for Git.
 * @throws Refusal 413 on a compressed one that inflates beyond that
 */
export async function peekCommand(request: IncomingMessage): Promise<Peeked> {
  const encoding = request.headers['content-encoding']
  const compressed = encoding === 'gzip' || encoding === 'x-gzip'
  let beginning = Buffer.alloc(0)
  for (;;) {
    const chunk = await nextChunk(request)
    if (chunk === null) break
    beginning = Buffer.concat([beginning, chunk])
    const other = !compressed && mayBeLsRefs(beginning) === false
    if (other || beginning.length > peekMax) return { beginning, ended: false, lsRefs: undefined }
  }
  const body = compressed ? await inflate(beginning) : beginning
  // A body that broke off may look whole.
  return { beginning, ended: true, lsRefs: request.complete && body ? parseLsRefs(body) : undefined }
}

/** undefined: not an ls-refs command, or damaged, which is for Git to say. @throws Refusal */
async function inflate(body: Buffer): Promise<Buffer | undefined> {
  try {
    const flush = { finishFlush: constants.Z_SYNC_FLUSH }
    if (!mayBeLsRefs(await gunzip(body.subarray(0, firstPacketMax), flush))) return undefined
    return await gunzip(body, { maxOutputLength: peekMax })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') return undefined
    throw new Refusal(413, `an ls-refs command of more than ${peekMax} bytes must not be compressed`)
  }
}
