import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { constants, createGunzip, gunzip as gunzipCallback } from 'node:zlib'
import { mayBeLsRefs, parseLsRefs, type LsRefsRequest } from '../git/protocol/ls-refs.js'
import { nextChunk } from '../git/process/next-chunk.js'
import type { ShareHolding } from '../limits/admission/shares.js'

const gunzip = promisify(gunzipCallback)

/** Bytes up to which a body is read before it is somebody's turn. */
const peekMax = 64 * 1024
/** The same for an ls-refs command, as it was sent and inflated: as much as Git's clients send compressed (http.postBuffer). */
const lsRefsMax = 1024 * 1024
/** Compressed bytes that are sure to hold the first packet, and bytes that are inflated to see it. */
const firstPacket = { compressed: 512, inflated: 1024 }
/** A gzip header and trailer without anything in between (RFC 1952, section 2.3). */
const gzipMin = 18

/** A request body whose beginning has been read. */
export interface PeekedBody {
  /** What has been read of it, as it was sent. */
  readonly beginning: Buffer
  /** Is that all? */
  readonly ended: boolean
  /** The command that it is, if it is one that need not go to Git. */
  readonly lsRefs: LsRefsRequest | undefined
}

/**
 * Reads a body to its end, or until `peekMax` bytes of it have come, `lsRefsMax` of an ls-refs command: whoever sends
 * slowly waits here, and not with a process that others wait for. What is longer is for Git, and what finds no memory.
 * @param mayAskForRefs could it be an ls-refs command, by what else the request says?
 * @param memory what of it is read and inflated here is taken from
 */
export async function peekBody(
  request: IncomingMessage,
  mayAskForRefs: boolean,
  memory: ShareHolding,
): Promise<PeekedBody> {
  const chunks: Buffer[] = []
  let length = 0
  let most = peekMax
  for (;;) {
    const chunk = await nextChunk(request)
    if (chunk === null) return peeked(request, Buffer.concat(chunks), mayAskForRefs, memory)
    length += chunk.length
    chunks.push(chunk)
    if (!memory.take(chunk.length)) break
    if (length > peekMax && most === peekMax && mayAskForRefs) {
      if (await beginsAsLsRefs(request, Buffer.concat(chunks))) most = lsRefsMax
    }
    if (length > most) break
  }
  return { beginning: Buffer.concat(chunks), ended: false, lsRefs: undefined }
}

async function peeked(
  request: IncomingMessage,
  whole: Buffer,
  mayAskForRefs: boolean,
  memory: ShareHolding,
): Promise<PeekedBody> {
  // A body that broke off may look whole.
  const asked = mayAskForRefs && request.complete
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

/** undefined: not an ls-refs command, or too long, or damaged, which is for Git to say. */
async function inflate(body: Buffer, memory: ShareHolding): Promise<Buffer | undefined> {
  if (body.length < gzipMin) return undefined
  // Its trailer says how long it is; if that is not true, the command is Git's to read.
  const size = body.readUInt32LE(body.length - 4)
  if (size > lsRefsMax || !mayBeLsRefs(await inflateBeginning(body)) || !memory.take(size)) return undefined
  try {
    return await gunzip(body, { maxOutputLength: size, chunkSize: Math.max(constants.Z_MIN_CHUNK, size + 1) })
  } catch {
    return undefined
  }
}

/** As much of a compressed body as tells what it is; nothing if it is damaged. */
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
