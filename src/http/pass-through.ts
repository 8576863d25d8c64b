import { AnswerEnding } from '../git/protocol/answer-ending.js'
import { readHead, type BackendRequest, type BackendResponse } from '../git/process/http-backend.js'
import { gitProtocol } from '../git/protocol/version.js'
import { GitError } from '../git/process/git-error.js'
import type { GitProcess } from '../git/process/git-process.js'
import type { PassThroughRequest } from '../origin/disk/git-backend.js'
import type { Exchange } from './exchange.js'
import { HttpError } from './responses.js'
import type { Route } from './route.js'

/**
 * Returns the parameters of a request for http-backend. No header is passed on unchecked: each value is one of a known
 * set, or has the form that its name requires (R8).
 * @throws HttpError
 */
export function backendRequest(
  exchange: Exchange,
  { resource, requestedService, service }: Route,
  remoteUser: string | undefined,
): PassThroughRequest {
  const { headers, method } = exchange.request
  const isInfoRefs = resource === '/info/refs'
  // A service that Git does not know (http-backend.c, select_service).
  if (isInfoRefs && requestedService !== undefined && service === 'dumb') throw new HttpError(403)
  const encoding = headers['content-encoding']
  return {
    method: method as BackendRequest['method'],
    resource,
    service: isInfoRefs ? requestedService : undefined,
    contentType: visible(headers['content-type']),
    // Absent for a chunked body: http-backend then reads until end of file.
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
 * Streams a request into http-backend, after what has been read of it, and its response out. Back-pressure makes both
 * directions as fast as the slower side.
 * @param remoteUser the REMOTE_USER that http-backend got
 * @returns whether the response is whole; if it is not, its client sees that it is broken
 * @throws GitError if no response comes; HttpError for a push that Git has refused without a message
 */
export async function passThrough(
  exchange: Exchange,
  process: GitProcess,
  { service }: Route,
  remoteUser: string | undefined,
): Promise<boolean> {
  const { request, response } = exchange
  sendBody(exchange, process)
  const head = await readHead(process)
  const { body } = head
  if (head.status === 403 && service === 'git-receive-pack') {
    body.resume()
    throw new HttpError(403, noPush(remoteUser))
  }
  writeHead(exchange, process, head)
  if (request.method === 'HEAD') {
    process.end()
    response.end()
    return true
  }
  const ending = new ResponseEnding(head.headers)
  for await (const chunk of body as AsyncIterable<Buffer>) {
    ending.push(chunk)
    // After the client has disconnected, the output is still read to its end: Git would wait forever otherwise.
    if (!exchange.aborted && !exchange.write(chunk)) await exchange.drained()
  }
  exchange.throwIfAborted()
  const { code } = await process.ended
  const isWhole = code === 0 || ending.isWhole
  if (isWhole) response.end()
  else exchange.breakOff()
  return isWhole
}

function sendBody({ request, peeked }: Exchange, process: GitProcess): void {
  if (peeked) process.stdin.write(peeked.beginning)
  if (peeked?.ended) process.stdin.end()
  else request.pipe(process.stdin)
  // Git may answer and exit without reading the whole body: the rest is read here and dropped.
  process.stdin.once('close', () => {
    request.unpipe(process.stdin)
    request.resume()
  })
}

/** Git's clients show this after `remote:`. */
const noPush = (remoteUser: string | undefined): string =>
  remoteUser === undefined
    ? 'pushing needs a user name: authenticate, or set http.receivepack=true to allow anonymous pushes'
    : 'pushing over HTTP is disabled for this repository: http.receivepack is false'

/**
 * Determines whether a response of http-backend is whole although Git exited with a failure: by its length, or because it
 * ends in an error message of Git, which its client sees.
 */
class ResponseEnding {
  readonly #length: number | undefined
  readonly #error: AnswerEnding | undefined
  #received = 0

  constructor(headers: readonly string[]) {
    const value = (name: string): string | undefined => {
      const at = headers.findIndex((each, index) => index % 2 === 0 && each.toLowerCase() === name)
      return at < 0 ? undefined : headers[at + 1]
    }
    const length = value('content-length')
    this.#length = length === undefined ? undefined : Number(length)
    const isPackets = /^application\/x-git-[a-z]+-(?:pack|archive)-(?:result|advertisement)$/
    this.#error = isPackets.test(value('content-type') ?? '') ? new AnswerEnding() : undefined
  }

  push(chunk: Buffer): void {
    this.#received += chunk.length
    this.#error?.push(chunk)
  }

  get isWhole(): boolean {
    return this.#length === this.#received || this.#error?.endsInError === true
  }
}

/** @throws GitError if HTTP does not allow such a head; then the process is ended */
function writeHead(
  { response }: Exchange,
  process: GitProcess,
  { status, statusText, headers }: BackendResponse,
): void {
  try {
    response.writeHead(status, statusText, headers)
  } catch (error) {
    process.end()
    // Node has kept it, and would send it with the error.
    response.statusMessage = ''
    throw new GitError(`git http-backend: ${(error as Error).message}`, { cause: error })
  }
}
