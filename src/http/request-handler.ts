import type { Grant } from '../access/access-request.js'
import type { Reading } from '../freshness/fresh-cache.js'
import type { FetchRequest } from '../git/protocol/fetch-request.js'
import type { LsRefsRequest } from '../git/protocol/ls-refs.js'
import { protocolVersion } from '../git/protocol/version.js'
import type { AdmissionGate } from '../limits/admission/admission-gate.js'
import { clientGroup } from '../limits/admission/client-group.js'
import type { ClientRates } from '../limits/admission/client-rates.js'
import { ShareHolding, type FairShares } from '../limits/admission/shares.js'
import { refusalOf } from '../origin/faults/faults.js'
import type { Origin } from '../origin/origin.js'
import { mayAttemptAgain, type Target } from '../origin/target.js'
import { withinRate } from '../service/rate-limit.js'
import { admit, isAdmitted, type AdmissionsOptions } from './admissions.js'
import { sendAdvertisement, type AdvertisementOptions } from './advertisement.js'
import { authorize, type AuthorizeOptions } from './authorize.js'
import type { CrossOrigin } from './cross-origin.js'
import { Exchange, type Monitors } from './exchange.js'
import { takeLfs, type LfsOptions } from './lfs.js'
import { sendRefs, type RefsOptions } from './ls-refs.js'
import type { HttpRequest, HttpResponse } from './message.js'
import { sendPack, sendRefusal } from './pack.js'
import { dropBody, passThroughRequest, sendOriginResponse } from './pass-through.js'
import { peekBody, type Asked, type PeekedBody } from './request-body.js'
import { sendError } from './responses.js'
import { findRoute, type Route } from './route.js'
import { toHttpFailure } from './status.js'
import { targetOf } from './target-of.js'

export interface RequestHandlerOptions
  extends AdmissionsOptions, AdvertisementOptions, RefsOptions, AuthorizeOptions, LfsOptions, Monitors {
  readonly origin: Origin
  /** Does the origin decide by the client's credentials? */
  readonly forwardsCredentials: boolean
  /** Bounds the requests that are answered at once. */
  readonly gate: AdmissionGate
  /** Limits the requests of each client; undefined: there is no limit. */
  readonly rates?: ClientRates | undefined
  /** Bytes of request bodies that may be in memory, by clients. */
  readonly bodies: FairShares
  /** Lets web pages of other origins read answers; undefined: none. */
  readonly crossOrigin?: CrossOrigin | undefined
  /** The status of requests that are shed. */
  readonly shedStatus: 429 | 503
}

/**
 * Answers a request: finds its route, waits for admission, and dispatches it; whatever fails on the way is sent as an
 * error.
 * @param awaitsContinue whether the client waits for 100 (Continue) before it sends the body
 */
export function handleRequest(
  options: RequestHandlerOptions,
  request: HttpRequest,
  response: HttpResponse,
  awaitsContinue: boolean,
): Promise<void> {
  const exchange = new Exchange(request, response, options, awaitsContinue)
  const { tracing } = options
  return tracing
    ? tracing.serve(exchange, request.headers, answer, options, exchange)
    : answer(options, exchange)
}

async function answer(options: RequestHandlerOptions, exchange: Exchange): Promise<void> {
  if (options.crossOrigin?.take(exchange) || takeLfs(options, exchange)) return exchange.finish()
  let releaseAdmission: (() => void) | undefined
  try {
    const route = identify(options, exchange)
    const client = clientGroup(exchange.clientAddress)
    const admission = { group: route.repository, admitted: isAdmitted(options, exchange), client }
    const admitted = options.gate.admit(admission, exchange)
    releaseAdmission = admitted instanceof Promise ? await exchange.waiting(admitted) : admitted
    for (let attempt = 1, isAnswered = false; !isAnswered; attempt++) {
      try {
        await dispatch(options, exchange, route)
        isAnswered = true
      } catch (error) {
        if (exchange.response.headersSent || !mayAttemptAgain(error, attempt)) throw error
      }
    }
  } catch (error) {
    fail(options, exchange, error)
  } finally {
    releaseAdmission?.()
    exchange.memory?.release()
  }
  exchange.finish()
}

/** Determines what is asked for. @throws HttpError */
function identify(options: RequestHandlerOptions, exchange: Exchange): Route {
  const { url = '', method, headers } = exchange.request
  const route = findRoute(url, method, options)
  exchange.repository = route.repository
  exchange.kind = route.kind
  exchange.version = protocolVersion(headers['git-protocol'] as string | undefined)
  return route
}

/**
 * Checks access, and then answers from the cache if possible, and else by Git.
 * @throws what is thrown on the way, or rejects with it
 */
function dispatch(options: RequestHandlerOptions, exchange: Exchange, route: Route): Promise<void> {
  const granted = authorizeWithinRate(options, exchange, route)
  return granted instanceof Promise
    ? granted.then((grant) => answerGranted(options, exchange, route, grant))
    : answerGranted(options, exchange, route, granted)
}

function answerGranted(
  options: RequestHandlerOptions,
  exchange: Exchange,
  route: Route,
  { user, identity }: Grant,
): Promise<void> {
  exchange.user = user
  exchange.throwIfAborted()
  const target = targetOf(options, exchange, route, identity)
  return route.kind === 'advertisement'
    ? answerAdvertisement(options, exchange, route, target)
    : answerOther(options, exchange, route, target)
}

async function answerOther(
  options: RequestHandlerOptions,
  exchange: Exchange,
  route: Route,
  target: Target,
): Promise<void> {
  exchange.sendContinue()
  if (route.method !== 'GET') {
    exchange.peeked ??= await peek(options, exchange)
    const { asks } = exchange.peeked
    exchange.throwIfAborted()
    if (asks && (await answerAsked(options, exchange, target, asks))) return
  }
  await passThrough(options, exchange, target, route, exchange.user)
}

/** Once for each request, however often its repository is exchanged for another one meanwhile. */
function authorizeWithinRate(
  options: RequestHandlerOptions,
  exchange: Exchange,
  route: Route,
): Grant | Promise<Grant> {
  const { rates } = options
  if (!rates || exchange.isRated) return authorize(options, exchange, route)
  exchange.isRated = true
  const client = {
    address: exchange.clientAddress,
    isAdmitted: isAdmitted(options, exchange),
    hasCredentials: exchange.request.headers.authorization !== undefined,
  }
  return withinRate(rates, client, () => authorize(options, exchange, route))
}

/** Answers from the cache; what may not be shared passes through. */
function answerAdvertisement(
  options: RequestHandlerOptions,
  exchange: Exchange,
  route: Route,
  target: Target,
): Promise<void> {
  return options.origin
    .advertise(target, exchange.version, true)
    .then((reading) =>
      reading ? answerReading(options, exchange, reading) : answerOther(options, exchange, route, target),
    )
}

/** Sends what is read, without a promise if it is in memory. @throws what is thrown on the way, or rejects with it */
function answerReading(
  options: RequestHandlerOptions,
  exchange: Exchange,
  reading: Reading,
): Promise<void> | undefined {
  const { follower, reuse } = reading
  let sending: Promise<void> | undefined
  try {
    exchange.throwIfAborted()
    admit(options, exchange)
    sending = sendAdvertisement(exchange, reading, options)
  } finally {
    if (!sending) follower.close()
  }
  if (!sending) {
    exchange.outcome = reuse
    return undefined
  }
  // Also wakes a follower that waits for bytes.
  exchange.onAbort(() => follower.close())
  return sending.then(() => void (exchange.outcome = reuse)).finally(() => follower.close())
}

/** Reads as much of a request's body as tells whether it is an ls-refs command or a fetch. */
function peek({ bodies }: RequestHandlerOptions, exchange: Exchange): Promise<PeekedBody> {
  const { request, kind, version } = exchange
  // http-backend rejects any other type.
  const hasType = request.headers['content-type'] === 'application/x-git-upload-pack-request'
  const isForUploadPack = kind === 'upload-pack' && hasType
  exchange.memory ??= new ShareHolding(bodies, clientGroup(exchange.clientAddress))
  return peekBody(request, isForUploadPack ? version : undefined, exchange.memory)
}

/** @returns whether it could: if not, Git is to answer */
function answerAsked(
  options: RequestHandlerOptions,
  exchange: Exchange,
  target: Target,
  asks: Asked,
): Promise<boolean> | false {
  if ('lsRefs' in asks) return answerLsRefs(options, exchange, target, asks.lsRefs)
  if ('fetch' in asks) return answerFetch(options, exchange, target, asks.fetch)
  options.origin.passed(asks.unshared)
  return false
}

async function answerFetch(
  options: RequestHandlerOptions,
  exchange: Exchange,
  target: Target,
  asked: FetchRequest,
): Promise<boolean> {
  try {
    const answer = await options.origin.fetch(target, asked, {
      admitted: isAdmitted(options, exchange),
      // Also wakes a follower that waits for bytes.
      attached: (follower) => exchange.onAbort(() => follower.close()),
      throwIfAborted: () => exchange.throwIfAborted(),
    })
    if (!answer) return false
    try {
      await sendPack(exchange, answer)
    } finally {
      answer.follower.close()
    }
    exchange.outcome = answer.reuse
  } catch (error) {
    const refusal = refusalOf(error)
    if (!refusal || exchange.response.headersSent) throw error
    sendRefusal(exchange, refusal)
    exchange.outcome = 'filled'
  }
  return true
}

/** @returns whether it could: if not, Git is to say why */
async function answerLsRefs(
  options: RequestHandlerOptions,
  exchange: Exchange,
  target: Target,
  asked: LsRefsRequest,
): Promise<boolean> {
  exchange.kind = 'ls-refs'
  const answer = await options.origin.listRefs(target, asked)
  if (!answer) return false
  exchange.throwIfAborted()
  await sendRefs(exchange, answer, asked, options)
  exchange.outcome = answer.reuse
  return true
}

async function passThrough(
  options: RequestHandlerOptions,
  exchange: Exchange,
  target: Target,
  route: Route,
  user: string | undefined,
): Promise<void> {
  const { origin } = options
  const request = passThroughRequest(exchange, route, user)
  const admission = { admitted: isAdmitted(options, exchange), queueing: exchange.signal }
  const answer = route.mutates
    ? await origin.mutate(target, request, { ...admission, signal: exchange.abortedEarly })
    : await origin.passThrough(target, request, { ...admission, signal: exchange.signal })
  const isWhole = await sendOriginResponse(exchange, answer)
  dropBody(exchange)
  if (isWhole) admit(options, exchange)
  exchange.outcome = isWhole ? 'passthrough' : 'error'
}

function fail({ shedStatus }: RequestHandlerOptions, exchange: Exchange, error: unknown): void {
  if (exchange.aborted) return
  const { response, awaitsContinue } = exchange
  const { response: answer, report } = toHttpFailure(error, shedStatus)
  exchange.failed(error, report)
  dropBody(exchange)
  if (response.headersSent) exchange.breakOff()
  else sendError(response, answer, awaitsContinue)
}
