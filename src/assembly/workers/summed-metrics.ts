import { AggregatorRegistry, Gauge, Registry } from 'prom-client'
import type { Channel } from '../../fleet/engines/workers/channel.js'
import { systemClock, type Clock } from '../../limits/clock.js'
import { Metrics } from '../../telemetry/metrics.js'
import { freshnessMetrics } from '../../telemetry/metrics/freshness.js'
import type { MetricValues, Order, Report } from '../worker-context/messages.js'

type Answer = readonly MetricValues[]

export interface SummedMetricsOptions {
  /** How many workers there should be. */
  readonly count: number
  /** Returns how many mutator leases are open. */
  readonly leasesOpen: () => number
  /** Milliseconds in which a worker must answer; 1000 if left out. */
  readonly answerMs?: number
  readonly clock?: Clock
}

/** Metrics of single processes, of which a sum would hide the one that is ill. */
const ofProcesses = /^(process|nodejs)_/
/** Metrics of this process that are those of the whole. */
const ofPrimary = /^((process|nodejs)_|refstream_workers|refstream_leases_open$)/

/**
 * Asks all workers for their metrics, and makes one text of them; runs in the primary. A worker that does not answer in time
 * counts with its last values, and the counters of one that has ended stay in the sum: a counter that went down would look
 * like a restart of the whole. What a worker has counted between its last scrape and its end is lost.
 */
export class SummedMetrics {
  readonly #options: SummedMetricsOptions
  readonly #workers = new Map<number, Channel>()
  readonly #metrics = new Metrics()
  /** The last answers, by worker. */
  readonly #last = new Map<number, Answer>()
  /** Counters of workers that have ended. */
  #ended: Answer = []
  /** Called with the answers that are waited for, by question and worker. */
  readonly #waiting = new Map<string, (values: Answer) => void>()
  #scrape: Promise<string> | undefined
  #count = 0

  constructor(options: SummedMetricsOptions) {
    const { leasesOpen } = options
    this.#options = options
    const { name, help, ofWorkers } = freshnessMetrics.leasesOpen
    const gauge: Gauge = new Gauge({
      ...{ name, help, aggregator: ofWorkers, registers: [this.#metrics.registry] },
      collect: () => gauge.set(leasesOpen()),
    })
  }

  /** Counts a worker that was started in place of one that had ended. */
  restarted(): void {
    this.#metrics.workerRestarts.inc()
  }

  /** Includes a worker that has started, until its channel is closed, and answers its scrapes. */
  add(index: number, control: Channel): void {
    this.#workers.set(index, control)
    control.onMessage((message) => {
      const report = message as Report
      if (report.kind === 'metrics') this.#waiting.get(`${report.id} ${index}`)?.(report.values)
      if (report.kind === 'scrape') {
        const { id } = report
        void this.text().then((text) => control.send({ kind: 'scrape', id, text } satisfies Order))
      }
    })
    control.onClose(() => this.#remove(index, control))
  }

  #remove(index: number, control: Channel): void {
    if (this.#workers.get(index) !== control) return
    this.#workers.delete(index)
    const counters = this.#last.get(index)?.filter(isCounter) ?? []
    this.#last.delete(index)
    this.#ended = [...this.#ended, ...counters]
  }

  /** Resolves with the text of a scrape. Those that come while one is made get the same. */
  text(): Promise<string> {
    this.#scrape ??= this.#make().finally(() => (this.#scrape = undefined))
    return this.#scrape
  }

  async #make(): Promise<string> {
    const id = ++this.#count
    const answered = await Promise.all(
      [...this.#workers].map(([index, control]) => this.#ask(id, index, control)),
    )
    const up = answered.filter(Boolean).length
    this.#metrics.workers.set({ state: 'up' }, up)
    this.#metrics.workers.set({ state: 'missing' }, this.#options.count - up)
    const own = (await valuesOf(this.#metrics.registry)).filter(({ name }) => ofPrimary.test(name))
    await this.#compactEnded()
    const workers = [...this.#last].map(([index, answer]) => labelled(String(index), answer))
    return sumOf([labelled('primary', own), ...workers, this.#ended]).metrics()
  }

  /** Makes one record of many of the same counter. */
  async #compactEnded(): Promise<void> {
    const ended = this.#ended
    const compact = await valuesOf(sumOf([ended]))
    if (this.#ended === ended) this.#ended = compact
  }

  /** Asks a worker for its values. @returns whether it has answered in time */
  async #ask(id: number, index: number, control: Channel): Promise<boolean> {
    const question = `${id} ${index}`
    let finish = (): void => {}
    const values = await new Promise<Answer | undefined>((resolve) => {
      const { answerMs = 1000, clock = systemClock } = this.#options
      const stopTimer = clock.after(answerMs, () => resolve(undefined))
      const stop = control.onClose(() => resolve(undefined))
      finish = () => {
        stopTimer()
        stop()
        this.#waiting.delete(question)
      }
      this.#waiting.set(question, resolve)
      control.send({ kind: 'metrics', id } satisfies Order)
    })
    finish()
    // It may have ended since, or another one may have its place.
    if (values === undefined || this.#workers.get(index) !== control) return false
    this.#last.set(index, values)
    return true
  }
}

const isCounter = ({ name, type }: MetricValues): boolean =>
  (type === 'counter' || type === 'histogram') && !ofPrimary.test(name)

const sumOf = (answers: readonly Answer[]): Registry =>
  AggregatorRegistry.aggregate(answers as unknown as object[])

const valuesOf = async (registry: Registry): Promise<Answer> => await registry.getMetricsAsJSON()

/** Returns metrics as they go into the sum: those of single processes get the label `worker`. */
const labelled = (worker: string, metrics: Answer): Answer =>
  metrics.map((metric) => {
    if (!ofProcesses.test(metric.name)) return metric
    const values = metric.values.map((each) => ({ ...each, labels: { ...each.labels, worker } }))
    return { ...metric, values, aggregator: 'sum' }
  })
