import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { constants, createGunzip, gunzip as gunzipCallback } from 'node:zlib'
import { mayBeLsRefs, parseLsRefs, type LsRefsRequest } from '../git/protocol/ls-refs.js'
import { nextChunk } from '../git/process/next-chunk.js'
import type { ShareHolding } from '../limits/admission/shares.js'

const gunzip = promisify(gunzipCallback)

/** Bytes up to which a body is read before a Git process is asked for. */
const peekMax = 64 * 1024
/** The same for an ls-refs command, as it was sent and inflated: Git's clients compress no longer one (http.postBuffer). */
const lsRefsMax = 1024 * 1024
/** Compressed bytes that certainly hold the first packet, and bytes that are inflated to read it. */
const firstPacket = { compressed: 512, inflated: 1024 }
/** Bytes of a gzip header and trailer with nothing between them (RFC 1952, section 2.3). */
const gzipMin = 18

/** A request body whose beginning has been read. */
export interface PeekedBody {
  /** What has been read of it, as it was sent. */
  readonly beginning: Buffer
  /** Is that all? */
  readonly ended: boolean
  /** The ls-refs command that it is; undefined: it is for Git. */
  readonly lsRefs: LsRefsRequest | undefined
}

/**
 * Reads a body to its end, or until `peekMax` bytes of it have come (`lsRefsMax` of an ls-refs command): a client that
 * sends slowly does not occupy a process permit meanwhile. A longer body, or one that there is no memory for, is for Git.
 * @param isCandidate whether it can be an ls-refs command, by the rest of the request
 * @param memory the share that bytes which are read and inflated here are taken from
 */
export async function peekBody(
  request: IncomingMessage,
  isCandidate: boolean,
  memory: ShareHolding,
): Promise<PeekedBody> {
  const chunks: Buffer[] = []
  let length = 0
  let most = peekMax
  for (;;) {
    const chunk = await nextChunk(request)
    if (chunk === null) return peeked(request, Buffer.concat(chunks), isCandidate, memory)
    length += chunk.length
    chunks.push(chunk)
    if (!memory.take(chunk.length)) break
    if (length > peekMax && most === peekMax && isCandidate) {
      if (await beginsAsLsRefs(request, Buffer.concat(chunks))) most = lsRefsMax
    }
    if (length > most) break
  }
  return { beginning: Buffer.concat(chunks), ended: false, lsRefs: undefined }
}

async function peeked(
  request: IncomingMessage,
  whole: Buffer,
  isCandidate: boolean,
  memory: ShareHolding,
): Promise<PeekedBody> {
  // A body that broke off may look whole.
  const asked = isCandidate && request.complete
  const body = asked ? (isCompressed(request) ? await inflate(whole, memory) : whole) : undefined
  return { beginning: whole, ended: true, lsRefs: body && parseLsRefs(body) }
}

function isCompressed({ headers }: IncomingMessage): boolean {
  const encoding = headers['content-encoding']
  return encoding === 'gzip' || encoding === 'x-gzip'
}

async function beginsAsLsRefs(request: IncomingMessage, beginning: Buffer): Promise<boolean> {
  const plain = isCompressed(request) ? await inflateBeginning(beginning) : beginning
  return mayBeLsRefs(plain.subarray(0, firstPacket.inflated)) === true
}

/** Inflates a body that may be an ls-refs command; undefined: it is none, too long, or damaged, which Git will report. */
async function inflate(body: Buffer, memory: ShareHolding): Promise<Buffer | undefined> {
  if (body.length < gzipMin) return undefined
  // From its trailer. If that is wrong, inflating fails, and Git reads the command.
  const size = body.readUInt32LE(body.length - 4)
  if (size > lsRefsMax || !mayBeLsRefs(await inflateBeginning(body)) || !memory.take(size)) return undefined
  try {
    return await gunzip(body, { maxOutputLength: size, chunkSize: Math.max(constants.Z_MIN_CHUNK, size + 1) })
  } catch {
    return undefined
  }
}

/** Inflates as much of a body as tells which command it is; nothing if it is damaged. */
function inflateBeginning(body: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const inflating = createGunzip({ chunkSize: firstPacket.inflated, finishFlush: constants.Z_SYNC_FLUSH })
    const done = (bytes = Buffer.alloc(0)): void => {
      resolve(bytes)
      inflating.destroy()
    }
    inflating
      .once('data', done)
      .once('end', () => done())
      .on('error', () => done())
      .end(body.subarray(0, firstPacket.compressed))
  })
}
