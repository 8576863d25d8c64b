import { PassThrough, type Readable } from 'node:stream'
import type { MutatorLeases } from '../../freshness/leases/mutator-leases.js'
import { answerUnderLease, holdLease } from '../held-lease.js'
import type {
  OriginResponse,
  PassThroughAdmission,
  PassThroughBody,
  PassThroughRequest,
} from '../pass-through.js'
import type { Target } from '../target.js'
import { forwardedHeaders } from './forwarded-headers.js'
import type { UpstreamRepository } from './upstream.js'
import type { UpstreamRequests } from './upstream-requests.js'
import type { Upstreams } from './upstreams.js'

export interface UpstreamBackendOptions {
  readonly upstreams: Upstreams
  readonly requests: UpstreamRequests
  readonly leases: MutatorLeases
  /** Names of further headers of clients that are sent on, in lower case. */
  readonly forwardedHeaders: ReadonlySet<string>
}

/** Passes requests through to an upstream, and its answers back, as they are. */
export class UpstreamBackend {
  readonly #options: UpstreamBackendOptions

  constructor(options: UpstreamBackendOptions) {
    this.#options = options
  }

  /**
   * Answers a request that changes nothing.
   * @throws RepositoryNotFound, UpstreamUnavailable, Overloaded, or the signal's reason
   */
  async passThrough(
    target: Target,
    request: PassThroughRequest,
    admission: PassThroughAdmission,
  ): Promise<OriginResponse> {
    return this.#send(this.#options.upstreams.find(target), request, admission)
  }

  /** Does the same for a request that may change the repository, and holds a lease until it has been answered. */
  async mutate(
    target: Target,
    request: PassThroughRequest,
    admission: PassThroughAdmission,
  ): Promise<OriginResponse> {
    const { upstreams, leases } = this.#options
    const repository = upstreams.find(target)
    const end = await holdLease(leases, repository.subject, 'push')
    return answerUnderLease(end, () => this.#send(repository, request, admission))
  }

  async #send(
    repository: UpstreamRepository,
    request: PassThroughRequest,
    { admitted, signal }: PassThroughAdmission,
  ): Promise<OriginResponse> {
    const { method, resource, service, uri } = request
    const body = method === 'GET' || method === 'HEAD' ? undefined : bodyOf(request.body)
    const response = await this.#options.requests.send(repository, resource + queryOf(service), {
      ...{ cause: 'pass', method, class: 'pass', admitted, signal },
      headers: forwardedHeaders(request, {
        more: this.#options.forwardedHeaders,
        isClients: repository.upstream.service === undefined,
      }),
      uri: resource === '' ? uri : undefined,
      // A client that was redirected would leave refstream.
      followsRedirects: resource === '/info/refs',
      ...(body && { body }),
    })
    const { status, statusText, headers, body: answer } = response
    let isWhole = false
    answer.once('end', () => (isWhole = true))
    return {
      ...{ status, statusText, headers, body: answer },
      whole: () => Promise.resolve(isWhole),
      end: () => void answer.destroy(),
    }
  }
}

/** Of what Git's protocol has, nothing else of the query has a meaning; access was checked for this service. */
const queryOf = (service: string | undefined): string =>
  service === undefined ? '' : `?service=${encodeURIComponent(service)}`

/** A whole body that was read is sent from memory; otherwise the rest follows as it comes. */
function bodyOf({ beginning, ended, rest }: PassThroughBody): Buffer | Readable {
  if (ended) return beginning
  const body = new PassThrough()
  if (beginning.length > 0) body.write(beginning)
  // `pipe` leaves the client's request alone when the upstream answers early, and what follows is dropped then.
  rest.pipe(body)
  rest.once('close', () => rest.readableEnded || body.destroy(new Error('the client has left')))
  body.once('close', () => {
    rest.unpipe(body)
    rest.resume()
  })
  return body
}
