import type { BackOff } from '../../limits/back-off.js'
import { FillError, type Entry, type FillFault, type FillResult } from '../../streamcache/index.js'
import type { Activity } from '../../status/activity.js'
import type { FillProducer } from '../../status/running-fills.js'
import type { Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'
import type { Tracing } from '../../telemetry/tracing/tracing.js'
import { BackingOff, FailedElsewhere } from './errors.js'
import { causeOf, momentaryFault, refusalOf } from './faults.js'
import { UpstreamRefusal } from './upstream-errors.js'

export interface FillReportsOptions {
  /** By key: how long after a failure the next try is due. */
  readonly backOff: BackOff
  readonly metrics: Metrics
  readonly log: Log
  /** Names the traces of fills in the log; undefined: there are none. */
  readonly tracing?: Pick<Tracing, 'ids'> | undefined
  /** What shows the fills under way and their failures; left out: nothing does. */
  readonly activity?: Pick<Activity, 'fills' | 'byFills' | 'failures'> | undefined
}

/** A fill that has started. */
export interface StartedFill {
  readonly kind: 'advertisement' | 'listing' | 'pack'
  /** Tells what makes its bytes, as far as is known; left out: Git does. */
  readonly producer?: (() => FillProducer) | undefined
  readonly entry: Entry
  /** What must change before a new try may succeed at once, if this one fails. */
  readonly state: string
  /** Resolves when the fill ends. */
  readonly ended: Promise<FillResult>
}

/** Reports what becomes of fills: to the metrics, to the log, and to the back-off of their keys (R7). */
export class FillReports {
  readonly #options: FillReportsOptions

  constructor(options: FillReportsOptions) {
    this.#options = options
  }

  /** Reports a fill when it ends. */
  started(fill: StartedFill): void {
    const { kind, entry, producer = () => 'git' } = fill
    const { activity } = this.#options
    activity?.byFills.add(entry.key)
    const remove = activity?.fills.add(kind, producer, entry)
    const stop = this.#options.metrics.fillSeconds.startTimer({ kind })
    void fill.ended.then((result) => {
      stop()
      remove?.()
      this.#count(fill, result)
      this.#learn(fill, result)
    })
  }

  #count({ kind, entry: { length, rope } }: StartedFill, result: FillResult): void {
    const { fills, fillBytes, loserWrites, loserBytes } = this.#options.metrics
    fills.inc({ kind, result })
    // A rope was not produced but put together.
    if (!rope) fillBytes.inc({ kind }, length)
    if (result !== 'loser') return
    loserWrites.inc()
    loserBytes.inc(length)
  }

  #learn({ kind, entry: { key, error }, state }: StartedFill, result: FillResult): void {
    const { backOff, log, metrics, activity, tracing } = this.#options
    if (result !== 'failed') {
      backOff.succeeded(key)
      return
    }
    const cause = causeOf(error)
    const momentary = momentaryFault(cause)
    const fault = momentary ?? faultOf(error)
    metrics.fillFailures.inc({ kind, fault })
    if (cause instanceof BackingOff && cause.attempt !== undefined)
      backOff.failedElsewhere(key, error, state, cause.attempt)
    // The client's fault, or the clients'.
    if (momentary !== undefined || fault === 'refused' || fault === 'unread') return
    log.warn({ err: error, key, ...tracing?.ids }, 'a fill failed')
    if (fault !== 'closed') activity?.failures.add('fill', key, error)
    // Ended because this process is about to end.
    if (fault === 'closed') return
    if (error instanceof FillError && error.cause instanceof FailedElsewhere)
      backOff.failedElsewhere(key, error, state)
    else backOff.failed(key, error, state)
  }
}

function faultOf(error: unknown): FillFault | 'refused' {
  if (refusalOf(error) || causeOf(error) instanceof UpstreamRefusal) return 'refused'
  return error instanceof FillError ? error.fault : 'producer'
}
