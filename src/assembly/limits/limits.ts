import type { Settings } from '../../config/options/options.js'
import { AdaptiveLimit } from '../../limits/process/adaptive-limit.js'
import { RecentAdmissions } from '../../limits/admission/recent-admissions.js'
import { BackOff } from '../../limits/back-off.js'
import { StallDetector } from '../../limits/connection/stall-detector.js'
import type { Overloaded } from '../../limits/overloaded.js'
import { readPressure } from '../../limits/process/pressure.js'
import { AdmissionGate } from '../../limits/admission/admission-gate.js'
import { ClientRates } from '../../limits/admission/client-rates.js'
import { FairShares } from '../../limits/admission/shares.js'
import { ProcessLimiter } from '../../limits/process/process-limiter.js'
import { Episode } from '../../limits/episode.js'
import { WriteBudget } from '../../limits/connection/write-budget.js'
import type { Log } from '../../telemetry/log.js'
import type { Metrics } from '../../telemetry/metrics.js'

/** Everything that limits concurrency, queues, memory and slow clients. */
export interface Limits {
  readonly limiter: ProcessLimiter
  readonly adaptive: AdaptiveLimit | undefined
  readonly backOff: BackOff
  readonly admissions: RecentAdmissions
  readonly gate: AdmissionGate
  /** Pipelined requests that wait for an earlier one on their connection, by client. */
  readonly pipelined: FairShares
  /** Limits the requests of each client; undefined: there is no limit. */
  readonly rates: ClientRates | undefined
  /** Bytes of request bodies in memory, by client. */
  readonly bodies: FairShares
  /** Detects clients that receive their responses too slowly. */
  readonly responseStalls: StallDetector
  /** Detects clients that send their requests too slowly. */
  readonly requestStalls: StallDetector
  /** Detects pass-through Git processes that neither read nor write a byte. */
  readonly processStalls: StallDetector
  readonly writeBudget: WriteBudget
  /** Records a request that is shed. */
  readonly shed: (why: Overloaded) => void
  /** Returns whether requests have been shed for some time and still are. */
  readonly shedding: () => boolean
  close(): void
}

/** Milliseconds for which a client's admitted GET admits its POSTs, and most clients that are remembered. */
const admitted = { forMs: 300_000, max: 10_000 }
/** Back-off after a key's second failed fill in a row, and the longest, in milliseconds; most keys that are remembered. */
const backingOff = { baseMs: 500, capMs: 60_000, max: 10_000 }
/** Lowest limit of the adaptive mode, and milliseconds between its decisions. */
const adaptiveFloor = 4
const adaptivePeriodMs = 1000
/** Length of the admission queue as a multiple of `queue-max`: it moves faster than the queues for processes. */
const admissionFactor = 4
/** A client may use three quarters of a shared limit, since all clients behind a proxy that is not trusted count as one. */
const clientFactor = 3
/** Bytes written to clients from memory in one iteration of the event loop: they take about two milliseconds. */
const bytesPerIteration = 4 * 1024 * 1024
/** Milliseconds of shedding without a pause after which this process is not ready, and the length of a pause. */
const sheddingLastsMs = 10_000
const sheddingPauseMs = 5000

/** Most clients whose rate is limited that are remembered. */
const ratedClients = 100_000
/** The burst of a client by default: seconds of its rate, and the least. */
const burst = { seconds: 10, least: 20 }

/** Creates the limits; their events are counted and logged. */
export function openLimits(settings: Settings, metrics: Metrics, log: Log): Limits {
  const queue = { queueMax: settings.queueMax, waitMs: settings.queueWaitSeconds * 1000 }
  const shedding = new Episode({ lastsMs: sheddingLastsMs, pauseMs: sheddingPauseMs })
  const limiter = new ProcessLimiter({
    limit: settings.maxProcesses,
    fill: { ...queue, perGroup: settings.maxFillsPerRepository },
    pack: { ...queue, most: settings.packs ? settings.maxPackProcesses : 0 },
    pass: { ...queue, perGroup: settings.maxPassThroughPerRepository },
    events: {
      granted: (permitClass, waitedMs) =>
        metrics.permitWaitSeconds.observe({ class: permitClass }, waitedMs / 1000),
      shed: (permitClass, reason) => metrics.processesShed.inc({ class: permitClass, reason }),
    },
  })
  const adaptive = settings.adaptiveProcesses
    ? new AdaptiveLimit({
        limiter,
        floor: Math.min(adaptiveFloor, settings.maxProcesses),
        ceiling: settings.maxProcesses,
        readPressure,
        periodMs: adaptivePeriodMs,
        changed: (cause, limit) => log.info({ cause, limit }, 'adaptive limit of Git processes changed'),
      })
    : undefined
  const stopAdaptive = adaptive?.start()
  return {
    limiter,
    adaptive,
    backOff: new BackOff(backingOff),
    admissions: new RecentAdmissions(admitted),
    gate: new AdmissionGate({
      max: settings.maxRequests,
      clientFactor,
      saturatedAfterMs: settings.busySeconds > 0 ? settings.busySeconds * 1000 : Infinity,
      queueMax: settings.queueMax * admissionFactor,
      waitMs: queue.waitMs,
      events: {
        waited: (ms) => metrics.admissionWaitSeconds.observe({}, ms / 1000),
        shed: (reason) => metrics.requestsShed.inc({ reason }),
      },
    }),
    pipelined: new FairShares(settings.maxRequests, clientFactor),
    rates: clientRates(settings, metrics),
    bodies: new FairShares(settings.maxBodyMemoryBytes, clientFactor),
    responseStalls: new StallDetector({
      idleMs: settings.clientIdleSeconds * 1000,
      minRate: settings.clientMinRate,
      windowMs: settings.clientIdleSeconds * 1000,
    }),
    requestStalls: new StallDetector({
      idleMs: settings.requestIdleSeconds * 1000,
      minRate: settings.requestMinRate,
      windowMs: settings.requestIdleSeconds * 1000,
    }),
    processStalls: new StallDetector({
      idleMs: settings.passThroughSilenceSeconds * 1000,
      minRate: 0,
      windowMs: 1000,
    }),
    writeBudget: new WriteBudget(bytesPerIteration),
    shed: ({ reason, message }) => {
      if (shedding.record()) log.warn({ reason }, `requests are shed: ${message}`)
    },
    shedding: () => shedding.lasts,
    close: () => stopAdaptive?.(),
  }
}

function clientRates(
  { clientRateLimit: perSecond, clientRateBurst }: Settings,
  metrics: Metrics,
): ClientRates | undefined {
  if (perSecond === undefined) return undefined
  return new ClientRates({
    perSecond,
    burst: clientRateBurst ?? Math.max(burst.least, perSecond * burst.seconds),
    max: ratedClients,
    limited: (by) => metrics.rateLimited.inc({ by }),
  })
}
