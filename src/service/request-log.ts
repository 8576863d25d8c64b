import type { EndedRequest } from '../status/request-tail.js'
import type { Log } from '../telemetry/log.js'
import type { LogIds } from '../telemetry/tracing/scope.js'
import { printablePath } from '../telemetry/printable-path.js'

/** Which requests have a line in the access log. `slow` includes `errors`. */
export type AccessLogMode = 'off' | 'errors' | 'slow' | 'all'

export interface RequestLogOptions {
  readonly mode: AccessLogMode
  /** Milliseconds from which a request is slow. */
  readonly slowMs: number
  readonly log: Log
}

/** What a protocol knows of a request. */
export interface ProtocolDetails {
  /** HTTP's status, or gRPC's code; undefined: no answer was begun. */
  readonly status: number | undefined
  /** Has the client given a password or a token? */
  readonly hasCredentials: boolean
  /** Attributes by OpenTelemetry's names. */
  readonly attributes: Readonly<Record<string, string | number | undefined>>
}

/** A request that has ended. */
export interface LoggedRequest extends Pick<
  EndedRequest,
  'id' | 'kind' | 'outcome' | 'sentBytes' | 'elapsedMs' | 'waitedMs' | 'firstByteMs' | 'user'
> {
  /** As the client asked for it. */
  readonly repository: string | undefined
  /** undefined: it is not sampled. */
  readonly trace?: { readonly ids: LogIds } | undefined
  readonly details: () => ProtocolDetails
}

/** Most characters of a User-Agent in a log line. */
export const agentMax = 256

/** Outcomes of requests that were not answered as they should be. */
const failures = new Set(['aborted', 'error', 'forbidden', 'not_found', 'rate_limited', 'rejected', 'shed'])

/**
 * Writes the access log, and the audit trail of pushes and refused logins. Fields are flat and have the names of
 * OpenTelemetry's attributes; those that it has no name for begin with `refstream.`. Nothing of a request's query,
 * `Authorization` or cookies is written, so that no credential is. The user name of a refused login is not written either:
 * clients send tokens in its place.
 */
export class RequestLog {
  readonly #options: RequestLogOptions

  constructor(options: RequestLogOptions) {
    this.#options = options
  }

  /** Reports a request that has ended. */
  ended(request: LoggedRequest): void {
    const { mode, log } = this.#options
    const isPush = request.kind === 'receive-pack'
    const isRefused = request.outcome === 'unauthenticated'
    if ((mode === 'off' && !isPush && !isRefused) || !log.isLevelEnabled('info')) return
    const details = request.details()
    if (isPush) log.info(fieldsOf('refstream.push', request, details), 'push')
    else if (isRefused && details.hasCredentials) {
      log.info(fieldsOf('refstream.login.refused', request, details), 'login refused')
    }
    if (this.#has(request, details)) log.info(fieldsOf('refstream.request', request, details), 'request')
  }

  #has({ outcome = 'error', elapsedMs }: LoggedRequest, { status = 0 }: ProtocolDetails): boolean {
    const { mode, slowMs } = this.#options
    if (mode === 'all' || mode === 'off') return mode === 'all'
    if (mode === 'slow' && elapsedMs >= slowMs) return true
    // Git asks without credentials first: a 401 is a part of each request that needs them.
    return failures.has(outcome) || (outcome === 'passthrough' && status >= 400 && status !== 401)
  }
}

const seconds = (ms: number): number => Math.round(ms * 1000) / 1e6

function fieldsOf(
  event: string,
  {
    id,
    kind,
    repository,
    outcome = 'error',
    sentBytes,
    elapsedMs,
    waitedMs,
    firstByteMs,
    user,
    trace,
  }: LoggedRequest,
  { attributes }: ProtocolDetails,
): object {
  return {
    'event.name': event,
    ...attributes,
    'user.name': user,
    'http.response.body.size': sentBytes,
    ...trace?.ids,
    'refstream.request.id': id,
    'refstream.request.kind': kind,
    'refstream.repository': repository === undefined ? undefined : printablePath(repository),
    'refstream.outcome': outcome,
    'refstream.duration': seconds(elapsedMs),
    'refstream.admission.wait': seconds(waitedMs),
    'refstream.first_byte': firstByteMs === undefined ? undefined : seconds(firstByteMs),
  }
}
