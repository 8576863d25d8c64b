import { ErrorEnding } from '../git/protocol/error-ending.js'
import { readHead, type BackendRequest, type BackendResponse } from '../git/process/http-backend.js'
import { gitProtocol } from '../git/protocol/version.js'
import { GitError } from '../git/process/git-error.js'
import type { GitProcess } from '../git/process/git-process.js'
import type { Exchange } from './exchange.js'
import type { PeekedBody } from './request-body.js'
import { HttpError } from './responses.js'
import type { Route } from './route.js'

const services = ['git-upload-pack', 'git-receive-pack', 'git-upload-archive']

/**
 * What http-backend is told of a request. Nothing is handed on as it came: each value is one of a known set, or has
 * the form that its name asks for (R8).
 * @throws Refusal
 */
export function backendRequest(
  exchange: Exchange,
  route: Route,
  remoteUser: string | undefined,
): Omit<BackendRequest, 'exportAll'> {
  const { headers, method } = exchange.request
  if (route.resource === '/info/refs' && route.service !== undefined && !services.includes(route.service)) {
    throw new HttpError(403)
  }
  const encoding = headers['content-encoding']
  return {
    method: method as BackendRequest['method'],
    resource: route.resource,
    service: route.resource === '/info/refs' ? route.service : undefined,
    contentType: visible(headers['content-type']),
    // Absent for a chunked body: http-backend then reads to the end.
    contentLength: headers['content-length'],
    contentEncoding: encoding === 'gzip' || encoding === 'x-gzip' ? encoding : undefined,
    gitProtocol: gitProtocol(exchange.version),
    remoteUser,
    remoteAddress: exchange.client.address,
  }
}

const visible = (value: string | undefined): string | undefined =>
  value !== undefined && /^[\x20-\x7e]{1,256}$/.test(value) ? value : undefined

/**
 * Streams a request into http-backend, after what has been read of it, and its response out. Both ways are as fast as
 * the slower side.
 * @returns whether the response is whole; if it is not, its client sees that it is broken
 * @param remoteUser as http-backend was told
 * @throws GitError if no answer comes; Refusal of a push that Git has refused without a word
 */
export async function passThrough(
  exchange: Exchange,
  process: GitProcess,
  remoteUser: string | undefined,
  peeked?: PeekedBody,
): Promise<boolean> {
  const { request, response } = exchange
  exchange.watchProcess(process)
  if (peeked) process.stdin.write(peeked.beginning)
  if (peeked?.ended) process.stdin.end()
  else request.pipe(process.stdin)
  // Git may answer and go without reading the whole body: the rest is read here and dropped.
  process.stdin.once('close', () => {
    request.unpipe(process.stdin)
    request.resume()
  })
  const head = await readHead(process)
  const { body } = head
  if (head.status === 403 && exchange.kind.startsWith('receive-pack')) {
    body.resume()
    throw new HttpError(403, noPush(remoteUser))
  }
  writeHead(exchange, process, head)
  if (request.method === 'HEAD') {
    process.end()
    response.end()
    return true
  }
  const ending = new Ending(head.headers)
  for await (const chunk of body as AsyncIterable<Buffer>) {
    ending.push(chunk)
    // Who has left is not written to, but what Git still says is read, or it would wait for ever.
    if (!exchange.aborted && !exchange.write(chunk)) await exchange.drained()
  }
  exchange.throwIfAborted()
  const { code } = await process.ended
  const isWhole = code === 0 || ending.isWhole
  if (isWhole) response.end()
  else exchange.breakOff()
  return isWhole
}

/** Git's clients show it, behind `remote:`. */
const noPush = (remoteUser: string | undefined): string =>
  remoteUser === undefined
    ? 'this repository takes no pushes from clients whose user the server does not know (http.receivepack is not true)'
    : 'this repository takes no pushes over HTTP (http.receivepack is false)'

/** Tells whether an answer of http-backend's has come whole, though Git says that it failed: what its client can see. */
class Ending {
  readonly #length: number | undefined
  readonly #error: ErrorEnding | undefined
  #received = 0

  constructor(headers: readonly string[]) {
    const value = (name: string): string | undefined => {
      const at = headers.findIndex((each, index) => index % 2 === 0 && each.toLowerCase() === name)
      return at < 0 ? undefined : headers[at + 1]
    }
    const length = value('content-length')
    this.#length = length === undefined ? undefined : Number(length)
    const isPackets = /^application\/x-git-[a-z]+-(?:pack|archive)-(?:result|advertisement)$/
    this.#error = isPackets.test(value('content-type') ?? '') ? new ErrorEnding() : undefined
  }

  push(chunk: Buffer): void {
    this.#received += chunk.length
    this.#error?.push(chunk)
  }

  get isWhole(): boolean {
    return this.#length === this.#received || this.#error?.endsInError === true
  }
}

/** @throws GitError if HTTP does not allow such a head; then the process is ended, for nobody reads on */
function writeHead(
  { response }: Exchange,
  process: GitProcess,
  { status, statusText, headers }: BackendResponse,
): void {
  try {
    response.writeHead(status, statusText, headers)
  } catch (error) {
    process.end()
    // It has been kept for whatever is answered instead.
    response.statusMessage = ''
    throw new GitError(`git http-backend: ${(error as Error).message}`, { cause: error })
  }
}
