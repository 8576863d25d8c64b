import type { Settings } from '../config/options.js'
import { AdaptiveLimit } from '../limits/process/adaptive-limit.js'
import { RecentAdmissions } from '../limits/admission/recent-admissions.js'
import { BackOff } from '../limits/back-off.js'
import { StallDetector } from '../limits/connection/stall-detector.js'
import type { Overloaded } from '../limits/overloaded.js'
import { readPressure } from '../limits/process/pressure.js'
import { AdmissionGate } from '../limits/admission/admission-gate.js'
import { FairShares } from '../limits/admission/shares.js'
import { ProcessLimiter } from '../limits/process/process-limiter.js'
import { Episode } from '../limits/episode.js'
import { WriteBudget } from '../limits/connection/write-budget.js'
import type { Log } from '../telemetry/log.js'
import type { Metrics } from '../telemetry/metrics.js'

/** All that keeps the sidecar within bounds, by the settings, counted and logged. */
export interface Limits {
  readonly limiter: ProcessLimiter
  readonly adaptive: AdaptiveLimit | undefined
  readonly backOff: BackOff
  readonly admissions: RecentAdmissions
  readonly gate: AdmissionGate
  /** Requests that wait for an earlier one on their connection, by clients. */
  readonly pipelined: FairShares
  /** Bytes of request bodies in memory, by clients. */
  readonly bodies: FairShares
  /** Clients that take their answers too slowly. */
  readonly responseStalls: StallDetector
  /** Clients that send their requests too slowly. */
  readonly requestStalls: StallDetector
  /** Git processes of pass-through that move no byte. */
  readonly processStalls: StallDetector
  readonly writeBudget: WriteBudget
  /** A request is told to come again. */
  readonly shed: (why: Overloaded) => void
  /** Are requests being shed, and have they been for a while? */
  readonly shedding: () => boolean
  close(): void
}

/** Milliseconds for which a client's GET lets its POSTs in, and how many such clients are remembered. */
const admitted = { forMs: 300_000, max: 10_000 }
/** The wait after a fill's second failure in a row, and the longest, in milliseconds; for so many keys. */
const backingOff = { baseMs: 500, capMs: 60_000, max: 10_000 }
/** The global limit that the adaptive mode never goes below, and how often it decides. */
const adaptiveFloor = 4
const adaptivePeriodMs = 1000
/** How many more wait at the door than for a process: turns come sooner there. */
const admissionFactor = 4
/** A client may have three quarters of what is for all: behind a proxy that is not trusted all clients are one. */
const clientFactor = 3
/** Bytes that are handed to clients from memory in one turn of the event loop: two milliseconds of it. */
const bytesPerTurn = 4 * 1024 * 1024
/** Milliseconds without a pause after which shedding counts as lasting, and the pause that ends it. */
const sheddingLastsMs = 10_000
const sheddingPauseMs = 5000

export function openLimits(settings: Settings, metrics: Metrics, log: Log): Limits {
  const queue = { queueMax: settings.queueMax, waitMs: settings.queueWaitSeconds * 1000 }
  const shedding = new Episode({ lastsMs: sheddingLastsMs, pauseMs: sheddingPauseMs })
  const limiter = new ProcessLimiter({
    total: settings.maxProcesses,
    fill: { ...queue, perGroup: settings.maxFillsPerRepository },
    pass: { ...queue, perGroup: settings.maxPassThroughPerRepository },
    events: {
      granted: (slotClass, waitedMs) =>
        metrics.permitWaitSeconds.observe({ class: slotClass }, waitedMs / 1000),
      shed: (slotClass, reason) => metrics.processesShed.inc({ class: slotClass, reason }),
    },
  })
  const adaptive = settings.adaptiveProcesses
    ? new AdaptiveLimit({
        limiter,
        floor: Math.min(adaptiveFloor, settings.maxProcesses),
        ceiling: settings.maxProcesses,
        readPressure,
        periodMs: adaptivePeriodMs,
        changed: (cause, total) => log.info({ cause, total }, 'the limit of Git processes has moved'),
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
        waited: (ms) => metrics.admissionWaitSeconds.observe(ms / 1000),
        shed: (reason) => metrics.requestsShed.inc({ reason }),
      },
    }),
    pipelined: new FairShares(settings.maxRequests, clientFactor),
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
    writeBudget: new WriteBudget(bytesPerTurn),
    shed: ({ reason, message }) => {
      if (shedding.record()) log.warn({ reason }, `requests are shed: ${message}`)
    },
    shedding: () => shedding.lasts,
    close: () => stopAdaptive?.(),
  }
}
