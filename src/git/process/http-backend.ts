import type { Readable } from 'node:stream'
import type { Git } from './git.js'
import { GitError } from './git-error.js'
import type { GitProcess } from './git-process.js'
import { spawnIn } from './git-in-repository.js'
import { nextChunk } from './next-chunk.js'
import type { Repository } from '../state/repository.js'

/** A request as `git http-backend` understands it (git-http-backend(1)); every field was checked by the HTTP server. */
export interface BackendRequest {
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** What follows the repository in the path, such as `/git-receive-pack`. */
  readonly resource: string
  readonly service?: string | undefined
  readonly contentType?: string | undefined
  readonly contentLength?: string | undefined
  readonly contentEncoding?: string | undefined
  readonly gitProtocol?: string | undefined
  readonly remoteUser?: string | undefined
  readonly remoteAddress?: string | undefined
  readonly exportAll: boolean
}

/** How a request is queued and cancelled. */
export interface BackendAdmission {
  /** Was a request of this client admitted before? Then this one is queued where others are shed. */
  readonly admitted: boolean
  /** Takes the request out of the queue when it aborts. */
  readonly queueing: AbortSignal
  /** Ends the process when it aborts. */
  readonly signal: AbortSignal
  /** Called when a permit was acquired; the process starts when it has returned, or resolved. */
  readonly starting?: () => void | Promise<void>
}

export interface BackendResponse {
  readonly status: number
  readonly statusText: string | undefined
  /** Alternating names and values, in the order in which Git wrote them. */
  readonly headers: string[]
  readonly body: Readable
}

/** Most bytes of a response head; Git's are far shorter. */
const headMax = 64 * 1024

/**
 * Starts `git http-backend` as a CGI program (RFC 3875) for one request on one repository, once it has a permit. The
 * repository is its project root, so that it has no path to resolve.
 * @throws Overloaded, RepositoryExchanged, or the signal's reason
 */
export async function httpBackend(
  git: Git,
  repository: Repository,
  request: BackendRequest,
  { admitted, queueing, signal, starting }: BackendAdmission,
): Promise<GitProcess> {
  const permit = await git.acquirePermit({
    class: 'pass',
    group: repository.commonDir,
    admitted,
    signal: queueing,
  })
  try {
    const isPreparing = starting?.()
    if (isPreparing) await isPreparing
  } catch (error) {
    permit.release()
    throw error
  }
  return spawnIn(git, repository, ['http-backend'], {
    signal,
    permit,
    environment: {
      ...git.environment,
      GATEWAY_INTERFACE: 'CGI/1.1',
      SERVER_PROTOCOL: 'HTTP/1.1',
      GIT_PROJECT_ROOT: '.',
      PATH_INFO: request.resource,
      REQUEST_METHOD: request.method,
      QUERY_STRING: request.service === undefined ? '' : `service=${request.service}`,
      CONTENT_TYPE: request.contentType,
      CONTENT_LENGTH: request.contentLength,
      HTTP_CONTENT_ENCODING: request.contentEncoding,
      HTTP_GIT_PROTOCOL: request.gitProtocol,
      REMOTE_USER: request.remoteUser,
      REMOTE_ADDR: request.remoteAddress,
      GIT_HTTP_EXPORT_ALL: request.exportAll ? '1' : undefined,
    },
  })
}

/** Reads the head of http-backend's response. @throws GitError if there is none; then the process is ended */
export async function readHead(process: GitProcess): Promise<BackendResponse> {
  const body = process.stdout
  let head = Buffer.alloc(0)
  for (;;) {
    const chunk = await nextChunk(body)
    if (chunk === null) break
    head = Buffer.concat([head, chunk])
    const end = /\r?\n\r?\n/.exec(head.toString('latin1', 0, headMax))
    if (end) {
      const rest = head.subarray(end.index + end[0].length)
      const parsed = parseHead(head.toString('latin1', 0, end.index))
      if (!parsed) break
      if (rest.length > 0) body.unshift(rest)
      return { ...parsed, body }
    }
    if (head.length > headMax) break
  }
  process.end()
  const { reason } = await process.ended
  throw new GitError(`git http-backend: no response head (${reason})`)
}

/** undefined: a line is not a header. */
function parseHead(text: string): Omit<BackendResponse, 'body'> | undefined {
  let status = 200
  let statusText: string | undefined
  const headers: string[] = []
  for (const line of text.split(/\r?\n/)) {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) return undefined
    if (name.toLowerCase() === 'status') {
      status = Number(/^\d{3}/.exec(value)?.[0] ?? 500)
      statusText = value.slice(4) || undefined
    } else {
      headers.push(name, value)
    }
  }
  return { status, statusText, headers }
}
