import { promisify } from 'node:util'
import { constants, createGunzip, gunzip as gunzipCallback } from 'node:zlib'
import { commandOf, type Command } from '../git/protocol/command.js'
import { parseFetch, type FetchRequest, type UnsharedReason } from '../git/protocol/fetch-request.js'
import { parseLsRefs, type LsRefsRequest } from '../git/protocol/ls-refs.js'
import type { ProtocolVersion } from '../git/protocol/version.js'
import { nextChunk } from '../git/process/next-chunk.js'
import type { ShareHolding } from '../limits/admission/shares.js'
import type { HttpRequest } from './message.js'

const gunzip = promisify(gunzipCallback)

/** Bytes up to which a body is read before a Git process is asked for. */
const peekMax = 64 * 1024
/** The same for ls-refs and fetch, as they were sent and inflated: Git's clients compress no longer ones (http.postBuffer). */
const parsedMax = 1024 * 1024
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
  /** What the body asks for; undefined: neither (another service, another content type), it is for Git. */
  readonly asks: Asked | undefined
}

/** `unshared`: a fetch that Git is to answer, and why. `size`: it is too long, or there is no memory for it. */
export type Asked =
  | { readonly lsRefs: LsRefsRequest }
  | { readonly fetch: FetchRequest }
  | { readonly unshared: UnsharedReason | 'size' }

/**
 * Reads a body to its end, or until `peekMax` bytes of it have come (`parsedMax` of ls-refs and fetch): a client that
 * sends slowly does not occupy a process permit meanwhile. A longer body, or one that there is no memory for, is for Git.
 * @param version the protocol version of a request to upload-pack; undefined: it is another request
 * @param memory the share that bytes which are read and inflated here are taken from
 */
export async function peekBody(
  request: HttpRequest,
  version: ProtocolVersion | undefined,
  memory: ShareHolding,
): Promise<PeekedBody> {
  const chunks: Buffer[] = []
  let length = 0
  let most = peekMax
  for (;;) {
    const chunk = await nextChunk(request)
    if (chunk === null) return peeked(request, version, Buffer.concat(chunks), memory)
    length += chunk.length
    chunks.push(chunk)
    const isTaken = memory.take(chunk.length)
    if (isTaken && length <= most) continue
    const beginning = Buffer.concat(chunks)
    const command = await commandIn(request, version, beginning)
    if (isTaken && length <= parsedMax && command !== undefined) most = parsedMax
    else return { beginning, ended: false, asks: command === 'fetch' ? { unshared: 'size' } : undefined }
  }
}

async function peeked(
  request: HttpRequest,
  version: ProtocolVersion | undefined,
  whole: Buffer,
  memory: ShareHolding,
): Promise<PeekedBody> {
  // A body that broke off may look whole.
  const asks = request.complete ? await parse(request, version, whole, memory) : undefined
  return { beginning: whole, ended: true, asks }
}

async function parse(
  request: HttpRequest,
  version: ProtocolVersion | undefined,
  whole: Buffer,
  memory: ShareHolding,
): Promise<Asked | undefined> {
  const isPlain = !isCompressed(request)
  const command = isPlain ? plainCommand(version, whole) : await commandIn(request, version, whole)
  if (version === undefined || command === undefined) return undefined
  const body = isPlain ? whole : await inflate(whole, memory)
  if (command === 'ls-refs') {
    const lsRefs = typeof body === 'string' ? undefined : parseLsRefs(body)
    return lsRefs && { lsRefs }
  }
  const fetch = typeof body === 'string' ? body : parseFetch(body, version)
  return typeof fetch === 'string' ? { unshared: fetch } : { fetch }
}

/** Returns the command of a body that begins so, plain or compressed. */
async function commandIn(
  request: HttpRequest,
  version: ProtocolVersion | undefined,
  beginning: Buffer,
): Promise<Command | undefined> {
  const isRead = version === 2 && isCompressed(request)
  return plainCommand(version, isRead ? await inflateBeginning(beginning) : beginning)
}

/** Until protocol v2 there is one command, which is not named. */
function plainCommand(version: ProtocolVersion | undefined, beginning: Buffer): Command | undefined {
  return version === 2 ? commandOf(beginning) : version === undefined ? undefined : 'fetch'
}

function isCompressed({ headers }: HttpRequest): boolean {
  const encoding = headers['content-encoding']
  return encoding === 'gzip' || encoding === 'x-gzip'
}

/** Inflates a body; otherwise returns why not: it is too long, or damaged, which Git will report. */
async function inflate(body: Buffer, memory: ShareHolding): Promise<Buffer | 'size' | 'malformed'> {
  if (body.length < gzipMin) return 'malformed'
  // From its trailer. If that is wrong, inflating fails, and Git reads the request.
  const size = body.readUInt32LE(body.length - 4)
  if (size > parsedMax || !memory.take(size)) return 'size'
  try {
    return await gunzip(body, { maxOutputLength: size, chunkSize: Math.max(constants.Z_MIN_CHUNK, size + 1) })
  } catch {
    return 'malformed'
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
