import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { accessMetrics } from './metrics/access.js'
import { everySeries, type LabelsOf, type MetricDefinition } from './metrics/definition.js'
import { fillMetrics } from './metrics/fills.js'
import { fleetMetrics } from './metrics/fleet.js'
import { freshnessMetrics } from './metrics/freshness.js'
import { logMetrics } from './metrics/log.js'
import { packMetrics } from './metrics/packs.js'
import { processMetrics } from './metrics/processes.js'
import { programMetrics } from './metrics/program.js'
import { connectionMetrics, requestMetrics } from './metrics/requests.js'
import { storeMetrics } from './metrics/store.js'
import { upstreamMetrics } from './metrics/upstream.js'
import { workerMetrics } from './metrics/workers.js'
import { collectProcessMetrics } from './process-metrics.js'
import { TalliedCounter } from './tallies/tallied-counter.js'
import { TalliedHistogram } from './tallies/tallied-histogram.js'

/** Metrics whose value is read at the moment of a scrape, from a part that keeps the count anyway. */
const scraped = {
  ready: programMetrics.ready,
  followers: fillMetrics.followers,
  storeBytes: storeMetrics.storeBytes,
  storeLimitBytes: storeMetrics.storeLimitBytes,
  storeFull: storeMetrics.storeFull,
  storeEntries: storeMetrics.storeEntries,
  hotBytes: storeMetrics.hotBytes,
  listingBytes: storeMetrics.listingBytes,
  packStoreBytes: packMetrics.packStoreBytes,
  packStoreLimitBytes: packMetrics.packStoreLimitBytes,
  packStoreEntries: packMetrics.packStoreEntries,
  packHotBytes: packMetrics.packHotBytes,
  processesRunning: processMetrics.processesRunning,
  processLimit: processMetrics.processLimit,
  leasesOpen: freshnessMetrics.leasesOpen,
  requestsUnderWay: requestMetrics.requestsUnderWay,
  requestsWaiting: requestMetrics.requestsWaiting,
  requestsPipelined: requestMetrics.requestsPipelined,
  requestBodyBytes: requestMetrics.requestBodyBytes,
  rateLimitClients: requestMetrics.rateLimitClients,
}

/** What gauges read at the moment of a scrape. */
export interface GaugeSources extends Readonly<Record<keyof typeof scraped, () => number>> {
  readonly processClasses: () => Iterable<{ class: string; running: number; waiting: number }>
  readonly helpers: () => { running: number; stuck: number }
  readonly repositories: () => Iterable<{ mode: string; reason: string; count: number }>
  readonly logLinesDropped: () => number
}

/** Upper bounds of the histograms' buckets, in seconds. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

/**
 * Makes every series of a counter exist at 0, since Prometheus sees no increase in a series that begins above 0.
 * @param given values of labels whose values the definition does not list
 */
export function showZeros(
  counter: { inc(labels: Readonly<Record<string, string>>, value: number): void },
  definition: MetricDefinition,
  given?: Readonly<Record<string, string>>,
): void {
  for (const labels of everySeries(definition, given)) counter.inc(labels, 0)
}

/** Every metric of refstream, and the registry that prints them. `metrics/` defines them. */
export class Metrics {
  readonly registry = new Registry()

  readonly buildInfo = this.#gauge(programMetrics.buildInfo)

  readonly requests = this.#tally(requestMetrics.requests)
  readonly firstByteSeconds = this.#tallyTimes(requestMetrics.firstByteSeconds)
  readonly sentBytes = this.#tally(requestMetrics.sentBytes)
  readonly compressionSaved = this.#counter(requestMetrics.compressionSaved)
  readonly deltaAnswers = this.#counter(requestMetrics.deltaAnswers)
  readonly deltaSaved = this.#counter(requestMetrics.deltaSaved)
  readonly admissionWaitSeconds = this.#tallyTimes(requestMetrics.admissionWaitSeconds)
  readonly requestsShed = this.#counter(requestMetrics.requestsShed)
  readonly rateLimited = this.#counter(requestMetrics.rateLimited)

  readonly clientsCut = this.#counter(connectionMetrics.clientsCut)
  readonly incomingCut = this.#counter(connectionMetrics.incomingCut)
  readonly passThroughCut = this.#counter(connectionMetrics.passThroughCut)

  readonly fills = this.#counter(fillMetrics.fills)
  readonly fillFailures = this.#counter(fillMetrics.fillFailures)
  readonly fillRetries = this.#counter(fillMetrics.fillRetries)
  readonly fillSeconds = this.#histogram(fillMetrics.fillSeconds)
  readonly fillBytes = this.#counter(fillMetrics.fillBytes)
  readonly loserWrites = this.#counter(fillMetrics.loserWrites)
  readonly loserBytes = this.#counter(fillMetrics.loserBytes)

  readonly packs = this.#counter(packMetrics.packs)
  readonly packsPassed = this.#counter(packMetrics.packsPassed)
  readonly packCpuSeconds = this.#counter(packMetrics.packCpuSeconds)
  readonly packCpuSparedSeconds = this.#counter(packMetrics.packCpuSparedSeconds)

  readonly upstreamRequests = this.#counter(upstreamMetrics.upstreamRequests)
  readonly upstreamDeltas = this.#counter(upstreamMetrics.upstreamDeltas)
  readonly upstreamDeltaSaved = this.#counter(upstreamMetrics.upstreamDeltaSaved)
  readonly upstreamClientRequests = this.#counter(upstreamMetrics.upstreamClientRequests)
  readonly upstreamStaleAnswers = this.#counter(upstreamMetrics.upstreamStaleAnswers)
  readonly upstreamAnswerAge = this.#histogram(upstreamMetrics.upstreamAnswerAge)
  readonly upstreamDroppedEntries = this.#counter(upstreamMetrics.upstreamDroppedEntries)
  readonly upstreamReplays = this.#counter(upstreamMetrics.upstreamReplays)
  readonly upstreamWaitSeconds = this.#histogram(upstreamMetrics.upstreamWaitSeconds)
  readonly upstreamShed = this.#counter(upstreamMetrics.upstreamShed)
  readonly upstreamBreakerOpen = this.#gauge(upstreamMetrics.upstreamBreakerOpen)
  readonly upstreamConnections = this.#gauge(upstreamMetrics.upstreamConnections)

  readonly fleetEngineUp = this.#gauge(fleetMetrics.fleetEngineUp)
  readonly fleetOperations = this.#counter(fleetMetrics.fleetOperations)
  readonly fleetClaims = this.#counter(fleetMetrics.fleetClaims)
  readonly fleetBorrowed = this.#counter(fleetMetrics.fleetBorrowed)
  readonly fleetTakeovers = this.#counter(fleetMetrics.fleetTakeovers)
  readonly fleetLosers = this.#counter(fleetMetrics.fleetLosers)
  readonly fleetPeerRequests = this.#counter(fleetMetrics.fleetPeerRequests)
  readonly fleetPeerBytes = this.#counter(fleetMetrics.fleetPeerBytes)
  readonly fleetMembers = this.#gauge(fleetMetrics.fleetMembers)

  readonly workers = this.#gauge(workerMetrics.workers)
  readonly workerRestarts = this.#counter(workerMetrics.restarts)

  readonly processesStarted = this.#counter(processMetrics.processesStarted)
  readonly permitWaitSeconds = this.#histogram(processMetrics.permitWaitSeconds)
  readonly processesShed = this.#counter(processMetrics.processesShed)

  readonly observations = this.#tally(freshnessMetrics.observations)
  readonly splices = this.#counter(freshnessMetrics.splices)
  readonly spliceAudits = this.#counter(freshnessMetrics.spliceAudits)
  readonly spliceOff = this.#gauge(freshnessMetrics.spliceOff)
  readonly leasesOpened = this.#counter(freshnessMetrics.leasesOpened)
  readonly leasesEnded = this.#counter(freshnessMetrics.leasesEnded)
  readonly invalidations = this.#counter(freshnessMetrics.invalidations)

  readonly storeRevisedBytes = this.#counter(storeMetrics.storeRevisedBytes)
  readonly storeRebasedBytes = this.#counter(storeMetrics.storeRebasedBytes)
  readonly evictions = this.#counter(storeMetrics.evictions)
  readonly discarded = this.#counter(storeMetrics.discarded)
  readonly storeErrors = this.#counter(storeMetrics.storeErrors)

  readonly authChecks = this.#counter(accessMetrics.authChecks)
  readonly tlsRefused = this.#counter(accessMetrics.tlsRefused)
  readonly proxyHeadersRefused = this.#counter(accessMetrics.proxyHeadersRefused)
  readonly tlsExpiry = this.#gauge(accessMetrics.tlsExpiry)
  readonly reloads = this.#counter(accessMetrics.reloads)
  readonly adminRefused = this.#counter(accessMetrics.adminRefused)

  constructor() {
    // Absent where there is no fleet; prom-client begins with 0.
    this.fleetEngineUp.remove()
    // This process alone; with workers, the primary's values are shown.
    this.workers.set({ state: 'up' }, 1)
    this.workers.set({ state: 'missing' }, 0)
    collectProcessMetrics(this.registry)
  }

  /** Registers the metrics that are read at a scrape; called once, when the parts that they read exist. */
  watch(sources: GaugeSources): void {
    for (const key of Object.keys(scraped) as (keyof typeof scraped)[]) {
      this.#gauge(scraped[key], (gauge) => gauge.set(sources[key]()))
    }
    this.#gauge(processMetrics.permitsHeld, (gauge) => {
      for (const { class: of, running } of sources.processClasses()) gauge.set({ class: of }, running)
    })
    this.#gauge(processMetrics.permitsWaiting, (gauge) => {
      for (const { class: of, waiting } of sources.processClasses()) gauge.set({ class: of }, waiting)
    })
    this.#gauge(freshnessMetrics.observerProcesses, (gauge) => {
      for (const [state, count] of Object.entries(sources.helpers())) gauge.set({ state }, count)
    })
    this.#gauge(freshnessMetrics.repositories, (gauge) => {
      gauge.reset()
      for (const { mode, reason, count } of sources.repositories()) gauge.set({ mode, reason }, count)
    })
    this.#counter(logMetrics.logLinesDropped, (counter) => {
      counter.reset()
      counter.inc(sources.logLinesDropped())
    })
  }

  #counter<D extends MetricDefinition>(
    definition: D,
    read?: (counter: Counter<LabelsOf<D>>) => void,
  ): Counter<LabelsOf<D>> {
    const counter: Counter<LabelsOf<D>> = new Counter({
      ...this.#common(definition),
      ...(read && { collect: () => read(counter) }),
    })
    if (definition.fromZero) showZeros(counter, definition)
    return counter
  }

  /** A counter of what each cache hit counts. */
  #tally<D extends MetricDefinition>(definition: D): TalliedCounter<LabelsOf<D>> {
    const counter = new TalliedCounter(this.#common(definition))
    if (definition.fromZero) showZeros(counter, definition)
    return counter
  }

  /** The same for a histogram. */
  #tallyTimes<D extends MetricDefinition>(definition: D): TalliedHistogram<LabelsOf<D>> {
    return new TalliedHistogram({ ...this.#common(definition), buckets })
  }

  #histogram<D extends MetricDefinition>(definition: D): Histogram<LabelsOf<D>> {
    return new Histogram({ ...this.#common(definition), buckets })
  }

  #gauge<D extends MetricDefinition>(
    definition: D,
    read?: (gauge: Gauge<LabelsOf<D>>) => void,
  ): Gauge<LabelsOf<D>> {
    const gauge: Gauge<LabelsOf<D>> = new Gauge({
      ...this.#common(definition),
      ...(read && { collect: () => read(gauge) }),
    })
    return gauge
  }

  #common<D extends MetricDefinition>({ name, help, labels = {}, ofWorkers = 'sum' }: D) {
    const labelNames = Object.keys(labels) as LabelsOf<D>[]
    return { name, help, labelNames, aggregator: ofWorkers, registers: [this.registry] }
  }
}
