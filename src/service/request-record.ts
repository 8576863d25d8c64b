import { randomUUID } from 'node:crypto'
import type { Reuse } from '../freshness/fresh-cache.js'
import type { ProtocolVersion } from '../git/protocol/version.js'
import type { AbortableRequest } from '../limits/admission/admission-gate.js'
import type { StallableClient, StallDetector } from '../limits/connection/stall-detector.js'
import { Overloaded } from '../limits/overloaded.js'
import type { Activity } from '../status/activity.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { RequestTrace } from '../telemetry/tracing/request-trace.js'
import type { TracedRequest, Tracing } from '../telemetry/tracing/tracing.js'
import { causeOf } from '../origin/faults/faults.js'
import { type FailureOutcome, type FailureReport } from './failures.js'
import { printablePath } from '../telemetry/printable-path.js'
import type { LoggedRequest, ProtocolDetails, RequestLog } from './request-log.js'

/** The `outcome` label of `refstream_requests_total`. */
export type Outcome = Reuse | 'passthrough' | 'preflight' | 'redirected' | 'aborted' | FailureOutcome

/**
 * What a request asks for: the `kind` label of metrics. `pass`: what Git's protocol does not have, of another server; `other`:
 * it was rejected before that was known.
 */
export type RequestKind =
  | ('advertisement' | 'ls-refs' | 'upload-pack' | 'upload-archive')
  | ('receive-pack-advertisement' | 'receive-pack' | 'dumb' | 'pass' | 'other')

/** What requests are reported to. */
export interface RequestMonitors {
  readonly metrics: Metrics
  readonly log: Log
  /** The access log and audit trail; undefined: none. */
  readonly requestLog?: RequestLog | undefined
  /** Finds clients that take their answers too slowly. */
  readonly responseStalls: StallDetector
  /** Told of each request that is shed. */
  readonly shed: (why: Overloaded) => void
  /** undefined: there are no traces. */
  readonly tracing?: Tracing | undefined
  /** What shows requests and failures of late; left out: nothing does. */
  readonly activity?: Pick<Activity, 'ended' | 'failures'> | undefined
}

/** The client left before the end of its answer. */
class RequestAborted extends Error {
  override readonly name = 'RequestAborted'
  override readonly message = 'the client has left'
}

/**
 * One request for data, by whatever protocol it came, and what is reported of it: its outcome, time to first byte, bytes,
 * failure, and a line in the log. A protocol's own class extends it, rather than holds one, so that a request costs one
 * object.
 */
export abstract class RequestRecord implements AbortableRequest, LoggedRequest, TracedRequest {
  readonly transport: 'http' | 'grpc'
  kind: RequestKind
  version: ProtocolVersion = 0
  repository: string | undefined
  /** undefined: not decided yet; counts as `error` in the end. */
  outcome: Outcome | undefined
  /** The name that the client was authenticated as. */
  user: string | undefined
  /** Milliseconds that the request has waited for admission. */
  waitedMs = 0
  /** Milliseconds until the first byte of the answer; undefined: none was sent. */
  firstByteMs: number | undefined
  trace: RequestTrace | undefined
  /** HTTP's method, or the path of gRPC's. */
  abstract readonly method: string
  readonly #startedAt = performance.now()
  readonly #monitors: RequestMonitors
  #id: string | undefined
  #sentBytes = 0
  #aborted = false
  readonly #abortCallbacks: (() => void)[] = []
  /** Made when first asked for: most requests need none, and a signal costs more than a cache hit's own work. */
  #signal: AbortSignal | undefined

  constructor(transport: RequestRecord['transport'], kind: RequestKind, monitors: RequestMonitors) {
    this.transport = transport
    this.kind = kind
    this.#monitors = monitors
  }

  /** Names the request in the log; made when first asked for. */
  get id(): string {
    return (this.#id ??= randomUUID())
  }

  /** Takes over the name that a proxy in front has given to the request. */
  protected nameAs(id: string): void {
    this.#id = id
  }

  /** The repository as it may be shown: clients put URLs with credentials into paths. */
  get shownRepository(): string | undefined {
    return this.repository === undefined ? undefined : printablePath(this.repository)
  }

  /** Milliseconds since the request arrived. */
  get elapsedMs(): number {
    return performance.now() - this.#startedAt
  }

  /** Waits for admission, and counts the time. */
  async waiting<T>(admission: Promise<T>): Promise<T> {
    const began = this.elapsedMs
    try {
      const { tracing } = this.#monitors
      return await (tracing ? tracing.span('wait for admission', {}, () => admission) : admission)
    } finally {
      this.waitedMs += this.elapsedMs - began
    }
  }

  /** Of few values, by OpenTelemetry's conventions. */
  get spanName(): string {
    return this.method
  }

  /** HTTP's route, of few values; undefined: it has none. */
  get route(): string | undefined {
    return undefined
  }

  /** Why the request counts as the server's failure, in few values; undefined: it does not. */
  get errorType(): string | undefined {
    return undefined
  }

  /** Returns what the log says of the request by its protocol. */
  details(): ProtocolDetails {
    return { status: undefined, hasCredentials: false, attributes: {} }
  }

  /** Body bytes that have been handed over. */
  get sentBytes(): number {
    return this.#sentBytes
  }

  /** Has the client left before the end of its answer? */
  get aborted(): boolean {
    return this.#aborted
  }

  /** Aborts when the client disconnects before the end of its answer. */
  get signal(): AbortSignal {
    return (this.#signal ??= this.abortSignal(() => true))
  }

  /** Returns a signal that aborts when the client disconnects, if `applies()` is true then. */
  protected abortSignal(applies: () => boolean): AbortSignal {
    const controller = new AbortController()
    this.onAbort(() => {
      if (applies()) controller.abort(new RequestAborted())
    })
    return controller.signal
  }

  /** @throws RequestAborted if the client has disconnected */
  throwIfAborted(): void {
    if (this.#aborted) throw new RequestAborted()
  }

  /** Calls back when the client leaves before the end of its answer, or at once if it has. */
  onAbort(call: () => void): void {
    if (this.#aborted) call()
    else this.#abortCallbacks.push(call)
  }

  /** The client has left. */
  protected abort(): void {
    if (this.#aborted) return
    this.#aborted = true
    for (const call of this.#abortCallbacks) call()
  }

  /** Counts body bytes that are about to be handed over. */
  protected countSent(bytes: number): void {
    if (this.#sentBytes === 0) {
      const { transport, kind, elapsedMs } = this
      this.firstByteMs = elapsedMs
      this.trace?.firstByte()
      this.#monitors.metrics.firstByteSeconds.observe({ transport, kind }, elapsedMs / 1000)
    }
    this.#sentBytes += bytes
  }

  /** Cuts the client when it takes its answer too slowly. @returns what ends the watch */
  protected watchResponse(client: StallableClient, cut: () => void): () => void {
    const { responseStalls, metrics } = this.#monitors
    return responseStalls.watch(client, (reason) => {
      metrics.clientsCut.inc({ reason })
      cut()
    })
  }

  /** Records that the request failed while its client still waited. */
  failed(error: unknown, { outcome, logLevel }: FailureReport): void {
    this.outcome = outcome
    const { log, shed, activity } = this.#monitors
    const cause = causeOf(error)
    const { transport, method, repository, shownRepository = '' } = this
    if (cause instanceof Overloaded) {
      shed(cause)
      activity?.failures.add('shed', shownRepository, cause)
    }
    if (logLevel === undefined) return
    // Others are shown where they come from.
    if (logLevel === 'error') activity?.failures.add('request', shownRepository, error)
    log[logLevel](
      { err: error, transport, method, repository, 'refstream.request.id': this.id, ...this.trace?.ids },
      'request failed',
    )
  }

  /** Counts and logs the request, once all of its answer has been handed over. */
  finish(): void {
    if (this.#aborted && this.outcome !== 'error') this.outcome = 'aborted'
    const { transport, kind, version, outcome = 'error' } = this
    const { metrics, log, requestLog, activity } = this.#monitors
    const sentBytes = this.#sentBytes
    const protocol = `v${version}`
    metrics.requests.inc({ transport, kind, protocol, outcome })
    if (sentBytes > 0) metrics.sentBytes.inc({ transport, kind }, sentBytes)
    requestLog?.ended(this)
    if (this.trace) this.#endTrace(this.trace)
    activity?.ended(this)
    if (!log.isLevelEnabled('debug')) return
    const { method, repository } = this
    const ms = Math.round(this.elapsedMs)
    const ids = this.trace?.ids
    log.debug({ transport, method, repository, kind, protocol, outcome, sentBytes, ms, ...ids }, 'request')
  }

  #endTrace(trace: RequestTrace): void {
    const { spanName, route, errorType, kind, version, repository, outcome = 'error', sentBytes } = this
    const { attributes } = this.details()
    trace.end({
      ...{ spanName, errorType },
      attributes: {
        ...attributes,
        'http.route': route,
        'http.response.body.size': sentBytes,
        'refstream.request.kind': kind,
        'refstream.git.protocol': version,
        'refstream.repository': repository === undefined ? undefined : printablePath(repository),
        'refstream.outcome': outcome,
      },
    })
  }
}
