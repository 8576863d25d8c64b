import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { CircuitBreaker, type Attempt } from '../../../limits/circuit-breaker.js'
import { systemClock, type Clock } from '../../../limits/clock.js'
import type { Overloaded } from '../../../limits/overloaded.js'
import { ProcessLimiter, type ProcessClass } from '../../../limits/process/process-limiter.js'
import type { Tracing } from '../../../telemetry/tracing/tracing.js'
import { UpstreamUnavailable } from './errors.js'
import { Exchange, type ExchangeResponse } from './exchange.js'
import { unavailable, type TimeLimits } from './failures.js'
import { valuesOf } from './headers.js'
import { StreamedBody } from './request-body.js'
import { retryAfterMs } from './retry-after.js'
import { firstLine } from './said.js'
import type { UpstreamRequest } from './upstream-request.js'

/** Events to be counted or logged; listeners must do nothing else. `host` is host and port. */
export interface UpstreamClientEvents {
  /** A request is sent; redirects that are followed and replays count too. */
  sent?(host: string, requestClass: ProcessClass): void
  /** The head of a response has arrived. */
  answered?(host: string, requestClass: ProcessClass, status: number): void
  /** A request got no response, or not a whole one. */
  failed?(host: string, requestClass: ProcessClass, error: UpstreamUnavailable): void
  /** A request is sent again, since the idle connection that it had was closed. */
  replayed?(host: string, requestClass: ProcessClass): void
  /** The circuit breaker has opened, with the last failure, or has closed. */
  breakerChanged?(host: string, isOpen: boolean): void
  /** The number of open connections, to this upstream and to where it redirects. */
  connectionsChanged?(open: number): void
  /** A request has waited so long for a connection. */
  granted?(requestClass: ProcessClass, waitedMs: number): void
  /** A request was rejected, since too many wait for a connection. */
  shed?(requestClass: ProcessClass, reason: Overloaded['reason']): void
}

/** The limits of one class of requests that wait for connections. */
export interface QueueLimits {
  /** Most requests that wait, for each class; four times as many of admitted clients. */
  readonly queueMax: number
  /** Longest wait in milliseconds; four times as long for admitted clients. */
  readonly waitMs: number
  /** Most fills, and most pass-through requests, of one repository at once; half of the connections unless given. */
  readonly perGroup?: number
}

export interface UpstreamHostOptions {
  /** Most connections. */
  readonly connections: number
  /** Milliseconds from the end of a request to the head of its response; for pass-through, at least `passSilenceMs`. */
  readonly headMs: number
  /** Longest silence within a response in milliseconds. */
  readonly silenceMs: number
  /** The same for pass-through: a hook of the server may take long. */
  readonly passSilenceMs: number
  readonly queue: QueueLimits
  readonly clock?: Clock | undefined
  /** Returns a number that is at least 0 and less than 1. */
  readonly random?: (() => number) | undefined
  readonly events?: UpstreamClientEvents | undefined
  /** Has a span for each wait for a connection; undefined: there are no traces. */
  readonly tracing?: Pick<Tracing, 'span'> | undefined
}

/** What is sent to a host. */
export interface HostRequest extends Pick<UpstreamRequest, 'class' | 'group' | 'admitted' | 'signal'> {
  readonly dispatcher: Dispatcher
  readonly origin: string
  readonly path: string
  readonly method: string
  readonly headers: Record<string, string | string[]>
  readonly body: Buffer | Readable | undefined
}

/** Longest body in bytes of a request that is sent again. */
const replayMaxBytes = 64 * 1024
/** Consecutive failures that open the breaker, its shortest and longest waits, and the longest that a host may ask for. */
const breaker = { failures: 5, baseMs: 1000, capMs: 60_000, retryAfterMaxMs: 300_000 }
/** Statuses that say that the host is out of order, or that it asks for fewer requests. */
const failing = new Set([429, 502, 503, 504])

/** One host: its permits for connections, and its circuit breaker. */
export class UpstreamHost {
  readonly limiter: ProcessLimiter
  readonly breaker: CircuitBreaker
  /** Host and port. */
  readonly name: string
  readonly #options: UpstreamHostOptions
  readonly #closeIdle: () => void

  /** @param closeIdle closes all connections that no request uses */
  constructor(name: string, options: UpstreamHostOptions, closeIdle: () => void) {
    const { connections, headMs, passSilenceMs, queue, clock, random, events } = options
    const { queueMax, waitMs, perGroup = Math.max(1, Math.floor(connections / 2)) } = queue
    const ofGroup = { queueMax, waitMs, perGroup }
    this.name = name
    this.#options = options
    this.#closeIdle = closeIdle
    this.limiter = new ProcessLimiter({
      ...{ limit: connections, fill: ofGroup, pass: ofGroup, pack: { queueMax, waitMs, most: connections } },
      clock: clock ?? systemClock,
      random: random ?? Math.random,
      events: {
        granted: (requestClass, waitedMs) => events?.granted?.(requestClass, waitedMs),
        shed: (requestClass, reason) => events?.shed?.(requestClass, reason),
      },
    })
    this.breaker = new CircuitBreaker({
      ...{ ...breaker, probeMs: 2 * Math.max(headMs, passSilenceMs), clock, random },
      changed: (isOpen) => events?.breakerChanged?.(name, isOpen),
    })
  }

  /**
   * Sends a request as soon as there is a permit, and resolves with the head of the response. The permit is returned when
   * the connection is free.
   * @throws UpstreamUnavailable; Overloaded; the reason of the signal; the error of the request's body
   */
  async request(request: HostRequest): Promise<ExchangeResponse> {
    this.#throwIfOpen()
    const { tracing } = this.#options
    const permit = await (tracing
      ? tracing.span('wait for connection', {}, () => this.limiter.acquire(request))
      : this.limiter.acquire(request))
    let attempt: Attempt | undefined
    try {
      // It may have opened meanwhile.
      this.#throwIfOpen()
      attempt = this.breaker.begin()
      const response = await this.#send(request, permit.release)
      this.#report(attempt, response)
      const { status } = response
      if (request.class === 'pass' || (status < 500 && status !== 429)) return response
      throw this.#refusal(response, await firstLine(response))
    } catch (error) {
      permit.release()
      if (error instanceof UpstreamUnavailable) attempt?.failed(error)
      else attempt?.abandoned()
      throw error
    }
  }

  async #send(request: HostRequest, release: () => void): Promise<ExchangeResponse> {
    const { body, class: requestClass } = request
    const { events } = this.#options
    const isKept = body === undefined || (Buffer.isBuffer(body) && body.length <= replayMaxBytes)
    const exchange = this.#exchange(request, release)
    try {
      return await exchange.response
    } catch (error) {
      if (!isKept || !exchange.isReplayable) throw error
      // The others that are idle were probably closed together with this one.
      this.#closeIdle()
      events?.replayed?.(this.name, requestClass)
      return await this.#exchange(request, release).response
    }
  }

  #exchange(request: HostRequest, release: () => void): Exchange {
    const { body, class: requestClass } = request
    const { events } = this.#options
    const streamed = body === undefined || Buffer.isBuffer(body) ? undefined : new StreamedBody(body)
    const limits = this.#timeLimits(requestClass)
    events?.sent?.(this.name, requestClass)
    const exchange = new Exchange({
      ...request,
      body: streamed?.stream ?? body,
      ...limits,
      failure: (error) => {
        const failure = streamed?.failure ?? unavailable(error, this.name, limits)
        if (failure instanceof UpstreamUnavailable) events?.failed?.(this.name, requestClass, failure)
        return failure
      },
      // Before the head has arrived, the request may be sent again with the same permit.
      ended: (hasHead) => {
        if (hasHead) release()
      },
    })
    exchange.response.then(
      ({ status }) => events?.answered?.(this.name, requestClass, status),
      () => {},
    )
    return exchange
  }

  #timeLimits(requestClass: ProcessClass): TimeLimits {
    const { headMs, silenceMs, passSilenceMs } = this.#options
    // A hook may keep a push waiting before the head of the response as well as after it.
    return requestClass === 'pass'
      ? { headMs: Math.max(headMs, passSilenceMs), silenceMs: passSilenceMs }
      : { headMs, silenceMs }
  }

  #report(attempt: Attempt, response: ExchangeResponse): void {
    const { status, headers } = response
    // Another refstream says whether it is out of order, or cannot answer for this repository.
    const isOfRepository = valuesOf(headers, 'refstream-scope')[0] === 'repository'
    if (!failing.has(status) || isOfRepository) return attempt.succeeded()
    const error = this.#refusal(response)
    const mayAskForWait = status === 429 || status === 503
    attempt.failed(error, mayAskForWait ? error.retryAfterMs : undefined)
  }

  #refusal({ status, headers }: ExchangeResponse, said = ''): UpstreamUnavailable {
    const [retryAfter] = valuesOf(headers, 'retry-after')
    return new UpstreamUnavailable(`${this.name}: answered ${status}${said && `: ${said}`}`, {
      status,
      retryAfterMs: retryAfterMs(retryAfter, Date.now()),
    })
  }

  #throwIfOpen(): void {
    const blocked = this.breaker.blocked()
    if (!blocked) return
    const { error, retryAfterMs } = blocked
    const { message, status } = error as UpstreamUnavailable
    const again = `; it is asked again in ${Math.ceil(retryAfterMs / 1000)} seconds`
    throw new UpstreamUnavailable(message + again, { retryAfterMs, status, wasAsked: false, cause: error })
  }
}
