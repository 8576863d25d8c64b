import { validateHeaderName, validateHeaderValue } from 'node:http'
import { pipeline, Transform, type TransformCallback } from 'node:stream'
import { GitError } from '../../../git/process/git-error.js'
import type { GitProcess } from '../../../git/process/git-process.js'
import { readHead, type BackendResponse } from '../../../git/process/http-backend.js'
import { AnswerEnding } from '../../../git/protocol/answer-ending.js'
import { PushRefused } from '../../faults/errors.js'
import type { OriginResponse, PassThroughBody, PassThroughRequest } from '../../pass-through.js'
import { isForPush } from './backend-request.js'

/**
 * Feeds a request's body to `git http-backend`, and resolves with its response, when its head has come. Back-pressure makes
 * both directions as fast as the slower side.
 * @throws GitError if no response comes; PushRefused for a push that Git has refused without a message
 */
export async function backendResponse(
  process: GitProcess,
  request: PassThroughRequest,
): Promise<OriginResponse> {
  feed(process, request.body)
  const head = await readHead(process)
  const { status, statusText, headers } = head
  const wrong = malformed(head)
  if (wrong !== undefined) {
    process.end()
    head.body.resume()
    throw new GitError(`git http-backend: ${wrong}`)
  }
  if (status === 403 && isForPush(request)) {
    head.body.resume()
    throw new PushRefused(noPush(request.remoteUser))
  }
  const body = new WatchedBody(headers)
  // Its reader receives an error too.
  pipeline(head.body, body, () => {})
  return {
    ...{ status, statusText, headers, body },
    whole: async () => (await process.ended).code === 0 || body.isWhole,
    end: () => {
      process.end()
      body.destroy()
    },
  }
}

function feed({ stdin }: GitProcess, { beginning, ended, rest }: PassThroughBody): void {
  if (beginning.length > 0) stdin.write(beginning)
  if (ended) stdin.end()
  else rest.pipe(stdin)
  // Git may answer and exit without reading the whole body: the rest is read here and dropped.
  stdin.once('close', () => {
    rest.unpipe(stdin)
    rest.resume()
  })
}

/** Git's clients show this after `remote:`. */
const noPush = (remoteUser: string | undefined): string =>
  remoteUser === undefined
    ? 'pushing needs a user name: authenticate, or set http.receivepack=true to allow anonymous pushes'
    : 'pushing over HTTP is disabled for this repository: http.receivepack is false'

/** Says what HTTP does not allow in a head (RFC 9110, section 5.5; RFC 9112, section 4). */
function malformed({ status, statusText = '', headers }: BackendResponse): string | undefined {
  if (status < 200) return `status ${status}`
  if (/[^\t\x20-\x7e\x80-\xff]/.test(statusText)) return 'a control character in its status'
  try {
    for (let at = 0; at < headers.length; at += 2) {
      const name = headers[at] as string
      validateHeaderName(name)
      validateHeaderValue(name, headers[at + 1] as string)
    }
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}

/**
 * The body of a response of http-backend. Determines whether it is whole although Git exited with a failure: by its length,
 * or because it ends in an error message of Git, which its client sees.
 */
class WatchedBody extends Transform {
  readonly #length: number | undefined
  readonly #error: AnswerEnding | undefined
  #received = 0

  constructor(headers: readonly string[]) {
    super()
    const value = (name: string): string | undefined => {
      const at = headers.findIndex((each, index) => index % 2 === 0 && each.toLowerCase() === name)
      return at < 0 ? undefined : headers[at + 1]
    }
    const length = value('content-length')
    this.#length = length === undefined ? undefined : Number(length)
    const isPackets = /^application\/x-git-[a-z]+-(?:pack|archive)-(?:result|advertisement)$/
    this.#error = isPackets.test(value('content-type') ?? '') ? new AnswerEnding() : undefined
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#received += chunk.length
    this.#error?.push(chunk)
    done(null, chunk)
  }

  get isWhole(): boolean {
    return this.#length === this.#received || this.#error?.endsInError === true
  }
}
