import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { AskCause } from '../../freshness/aged/aged-request.js'
import { gitProtocol, type ProtocolVersion } from '../../git/protocol/version.js'
import type { Entry } from '../../streamcache/index.js'
import {
  RedirectElsewhere,
  UpstreamUnavailable,
  type UpstreamRequest,
  type UpstreamResponse,
} from './client/upstream-client.js'
import { manipulation } from '../deltas/delta-format.js'
import { DeltaAnswers, deltaStatus, type DeltaAnswersOptions } from './delta-answers.js'
import { ListingOrder } from './refs/listing-order.js'
import { isSameRepository, redirection } from './renamed.js'
import { decoded, discard, refusalOf, smartAnswer } from './smart-answer.js'
import { addressOf, type UpstreamRepository } from './upstream.js'

/** Most repositories whose redirect is remembered. */
const redirectsMax = 10_000

/** The upstream answers, but not in the smart protocol: a server of dumb HTTP, or a page for people. */
export class NotSmart extends Error {
  override readonly name = 'NotSmart'
  override readonly message = 'the upstream did not answer in the smart protocol of Git'
}

/** A question about refs; see `AgedRequest.ask` for `kept` and the result. */
export interface Question {
  readonly cause: AskCause
  readonly kept: Entry | undefined
  readonly signal: AbortSignal
  /** Returns the bytes of `kept`, if they are in memory in another place; left out: they are not. */
  readonly bytesOfKept?: (() => readonly Buffer[] | undefined) | undefined
}

/** What is sent with a request to an upstream, besides credentials. */
export type Sent = Pick<UpstreamRequest, 'method' | 'class' | 'admitted' | 'signal'> &
  Partial<Pick<UpstreamRequest, 'headers' | 'body' | 'followsRedirects'>> & {
    readonly cause: RequestCause
    /** The target instead of a resource of the repository: for what Git's protocol does not have. */
    readonly uri?: string | undefined
  }

/** Why a request is sent: the `cause` label. */
export type RequestCause = AskCause | 'pack' | 'pass'

export interface UpstreamRequestsOptions {
  /** Called when a response's head has come, or when there will be none. */
  readonly ended?: (upstream: string, cause: RequestCause, result: RequestResult) => void
  /** Called when an answer that came as its differences from what is kept has ended, with the bytes that this has saved. */
  readonly deltaEnded?: DeltaAnswersOptions['ended']
}

/** How a request ended: the `result` label. */
export type RequestResult = 'ok' | 'unchanged' | 'refused' | 'unavailable'

/** What a question is sent with, and how its answer is understood. */
interface Asked {
  readonly headers: Record<string, string>
  readonly answer: (
    response: UpstreamResponse,
    type: string,
    check?: (chunk: Buffer) => void,
  ) => Promise<AsyncIterable<Buffer> | 'unchanged'>
}

/** Speaks Git's smart HTTP protocol with upstreams (gitprotocol-http(5)). */
export class UpstreamRequests {
  /** Where the repository of a client was redirected to, by address and client. */
  readonly #redirects = new LRUCache<string, string>({ max: redirectsMax })
  readonly #ended: NonNullable<UpstreamRequestsOptions['ended']>
  readonly #deltas: DeltaAnswers

  constructor({ ended = () => {}, deltaEnded }: UpstreamRequestsOptions = {}) {
    this.#ended = ended
    this.#deltas = new DeltaAnswers({ ended: deltaEnded })
  }

  /**
   * Asks for an advertisement.
   * @throws NotSmart, UpstreamRefusal, UpstreamUnavailable, Overloaded, or the signal's reason
   */
  async advertisement(
    repository: UpstreamRepository,
    version: ProtocolVersion,
    { signal, cause, ...question }: Question,
  ): Promise<AsyncIterable<Buffer> | 'unchanged'> {
    const key = redirectKey(repository)
    const asked = this.#asked(repository, question)
    const response = await this.send(repository, '/info/refs?service=git-upload-pack', {
      ...{ cause, method: 'GET', class: 'fill', admitted: false, signal, followsRedirects: true },
      headers: { ...versionHeader(version), ...asked.headers, 'Accept-Encoding': 'gzip' },
    })
    const [base] = response.redirectedTo?.split('/info/refs?') ?? []
    if (base === undefined) this.#redirects.delete(key)
    else this.#redirects.set(key, base)
    return asked.answer(response, 'application/x-git-upload-pack-advertisement')
  }

  /** Asks an ls-refs question. @throws as `advertisement`; UnsortedListing, or the body does */
  async listing(
    repository: UpstreamRepository,
    body: Buffer,
    { signal, cause, ...question }: Question,
  ): Promise<AsyncIterable<Buffer> | 'unchanged'> {
    const asked = this.#asked(repository, question)
    const response = await this.send(repository, '/git-upload-pack', {
      // Clients ask it that have received the capability advertisement.
      ...{ cause, method: 'POST', class: 'fill', admitted: true, signal, body },
      headers: { ...uploadPackHeaders, ...versionHeader(2), ...asked.headers, 'Accept-Encoding': 'gzip' },
    })
    const order = new ListingOrder()
    return asked.answer(response, uploadPackResult, (chunk) => order.push(chunk))
  }

  /** Returns the condition that a question is sent with, and how its answer is understood. */
  #asked(
    repository: UpstreamRepository,
    { kept, bytesOfKept }: Pick<Question, 'kept' | 'bytesOfKept'>,
  ): Asked {
    const mayBeDelta = kept?.sha256 !== undefined && this.#deltas.mayAccept(repository)
    return {
      headers: { ...condition(kept), ...(mayBeDelta && { 'A-IM': manipulation }) },
      answer: async (response, type, check) => {
        if (kept && isUnchanged(response, kept)) {
          discard(response.body)
          return 'unchanged'
        }
        const isDelta = kept !== undefined && mayBeDelta && response.status === deltaStatus
        if (!isDelta) await expectBody(response, type)
        return isDelta
          ? this.#deltas.answer(repository, response, { entry: kept, bytes: bytesOfKept?.() }, check)
          : smartAnswer(response, check)
      },
    }
  }

  /**
   * Asks for a pack. The answer must be read to its end, or destroyed.
   * @throws NotSmart, UpstreamRefusal, UpstreamUnavailable, Overloaded, or the signal's reason
   */
  async fetch(
    repository: UpstreamRepository,
    { version, body }: { readonly version: ProtocolVersion; readonly body: Buffer },
    { signal, admitted }: { readonly signal: AbortSignal; readonly admitted: boolean },
  ): Promise<Readable> {
    const response = await this.send(repository, '/git-upload-pack', {
      ...{ cause: 'pack', method: 'POST', class: 'pack', admitted, signal, body },
      headers: { ...uploadPackHeaders, ...versionHeader(version) },
    })
    await expectBody(response, uploadPackResult)
    return decoded(response)
  }

  /** Returns where a repository is known to be, if it was moved: what packs and redirected requests go to. */
  placeOf(repository: UpstreamRepository): string {
    return this.#redirects.get(redirectKey(repository)) ?? repository.path
  }

  /**
   * Sends a request about a repository.
   * @param resource what follows the repository in the path, with its query
   * @throws UpstreamUnavailable, Overloaded, or the signal's reason
   */
  async send(
    repository: UpstreamRepository,
    resource: string,
    { cause, ...sent }: Sent,
  ): Promise<UpstreamResponse> {
    const { name } = repository.upstream
    try {
      const response = await this.#send(repository, resource, sent)
      this.#ended(name, cause, resultOf(response.status))
      return response
    } catch (error) {
      if (!sent.signal.aborted) this.#ended(name, cause, 'unavailable')
      throw error
    }
  }

  async #send(
    repository: UpstreamRepository,
    resource: string,
    { uri, ...sent }: Omit<Sent, 'cause'>,
  ): Promise<UpstreamResponse> {
    const { upstream, subject } = repository
    // A question that follows redirects finds out where the repository is now.
    const place = sent.followsRedirects ? repository.path : this.placeOf(repository)
    const authorization = await authorizationOf(repository)
    const response = await upstream.client
      .request({
        ...sent,
        path: uri ?? place + resource,
        group: subject,
        headers: { ...sent.headers, ...authorization },
        mayFollow: upstream.followsRenames ? undefined : isSameRepository,
      })
      .catch((error: unknown) => {
        throw error instanceof RedirectElsewhere ? redirection(repository, error) : error
      })
    return upstream.service ? checkService(repository, response, authorization) : response
  }
}

function resultOf(status: number): RequestResult {
  if (status === 304 || status === 412) return 'unchanged'
  if (status === 429 || status >= 500) return 'unavailable'
  return status < 400 ? 'ok' : 'refused'
}

const redirectKey = (repository: UpstreamRepository): string =>
  `${repository.client} ${addressOf(repository)}`

const uploadPackResult = 'application/x-git-upload-pack-result'
const uploadPackHeaders = {
  'Content-Type': 'application/x-git-upload-pack-request',
  Accept: uploadPackResult,
} as const

function versionHeader(version: ProtocolVersion): Record<string, string> {
  const value = gitProtocol(version)
  return value === undefined ? {} : { 'Git-Protocol': value }
}

/**
 * A refstream as the upstream says whether it would answer the same: its entity tags are digests of the plain bytes. It
 * compresses a listing for those that send a condition, so one is sent even if nothing is kept.
 */
const condition = (kept: Entry | undefined): Record<string, string> => ({
  'If-None-Match': `"${kept?.sha256 ?? 'none'}"`,
})

async function authorizationOf({
  upstream,
  credentials,
}: UpstreamRepository): Promise<Record<string, string>> {
  const { authorization, cookie } = credentials
  const value = upstream.service ? await upstream.service.get() : authorization
  return {
    ...(value === undefined ? {} : { Authorization: value }),
    ...(cookie === undefined ? {} : { Cookie: cookie }),
  }
}

/** Tells the source of refstream's own credential whether it was accepted. Clients cannot do anything about a refusal. */
function checkService(
  { upstream: { name, service } }: UpstreamRepository,
  response: UpstreamResponse,
  { Authorization: authorization }: Record<string, string>,
): UpstreamResponse {
  const { status } = response
  if (status !== 401) {
    // A server that is out of order has not looked at it.
    if (authorization !== undefined && status < 500) service?.accepted(authorization)
    return response
  }
  if (authorization !== undefined) service?.rejected(authorization)
  response.body.destroy()
  throw new UpstreamUnavailable(
    `${name} wants ${authorization === undefined ? 'a' : 'another'} credential; check refstream's upstream credentials`,
    { status },
  )
}

/**
 * Does a response say that the answer is what is kept? RFC 9110, section 13.1.2: 304 answers GET, and 412 every other method;
 * both name the answer's entity tag. A 412 without it comes from something else that has looked at the request.
 */
function isUnchanged(response: UpstreamResponse, { sha256 }: Entry): boolean {
  const { status } = response
  if (sha256 === undefined || (status !== 304 && status !== 412)) return false
  return response.values('etag').some((tag) => tag.includes(sha256))
}

/** @throws UpstreamRefusal, UpstreamUnavailable, NotSmart */
async function expectBody(response: UpstreamResponse, type: string): Promise<void> {
  if (response.status !== 200) throw await refusalOf(response)
  // Without parameters, as Git compares it (http.c, extract_content_type).
  const [found = ''] = (response.values('content-type')[0] ?? '').split(';')
  if (found.trim().toLowerCase() === type) return
  response.body.destroy()
  throw new NotSmart()
}
