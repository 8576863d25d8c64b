import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { constants, gunzip as gunzipCallback } from 'node:zlib'
import { mayBeLsRefs, parseLsRefs, type LsRefsRequest } from '../git/ls-refs.js'
import { nextChunk } from '../git/next-chunk.js'
import { Refusal } from './responses.js'

const gunzip = promisify(gunzipCallback)

/** Bytes up to which a body is read, and inflated, before it is somebody's turn. */
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
 * Reads a body to its end, or until `peekMax` bytes of it have come: whoever sends slowly waits here, and not with a
 * process that others wait for.
 * @param mayAskForRefs could it be an ls-refs command, by what else the request says? A longer one is for Git.
 * @throws Refusal 413 on a compressed ls-refs command that inflates beyond that
 */
export async function peekBody(request: IncomingMessage, mayAskForRefs: boolean): Promise<Peeked> {
  const chunks: Buffer[] = []
  for (let length = 0; length <= peekMax;) {
    const chunk = await nextChunk(request)
    if (chunk === null) return peeked(request, Buffer.concat(chunks), mayAskForRefs)
    length += chunk.length
    chunks.push(chunk)
  }
  return { beginning: Buffer.concat(chunks), ended: false, lsRefs: undefined }
}

async function peeked(request: IncomingMessage, whole: Buffer, mayAskForRefs: boolean): Promise<Peeked> {
  const encoding = request.headers['content-encoding']
  const compressed = encoding === 'gzip' || encoding === 'x-gzip'
  // A body that broke off may look whole.
  const asked = mayAskForRefs && request.complete
  const body = asked ? (compressed ? await inflate(whole) : whole) : undefined
  return { beginning: whole, ended: true, lsRefs: body && parseLsRefs(body) }
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
