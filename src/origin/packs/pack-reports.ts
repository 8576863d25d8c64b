import type { Reading } from '../../freshness/fresh-cache.js'
import type { Entry } from '../../streamcache/index.js'
import type { PassedReason } from '../pack-answer.js'
import type { Metrics } from '../../telemetry/metrics.js'

/** What is known of an entry's cost. */
interface Cost {
  /** Of Git and its children; undefined: not known yet, or not at all. */
  cpuSeconds: number | undefined
  /** Answers besides the first, before the cost was known. */
  others: number
}

const results = {
  hit: 'hit',
  joined: 'coalesced',
  filled: 'filled',
  gathered: 'coalesced',
  // Does not happen: a pack is never revalidated.
  revalidated: 'hit',
} as const

/** Counts how fetches are answered, what that cost, and an estimate of what it would have cost otherwise. */
export class PackReports {
  readonly #metrics: Metrics
  readonly #costs = new WeakMap<Entry, Cost>()

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  passed(reason: PassedReason): void {
    this.#metrics.packs.inc({ result: 'passed' })
    this.#metrics.packsPassed.inc({ reason })
  }

  /** Records that Git refused a request. */
  refused(): void {
    this.#metrics.packs.inc({ result: 'refused' })
  }

  answered({ entry, reuse }: Reading): void {
    this.#metrics.packs.inc({ result: results[reuse] })
    if (reuse === 'filled') return
    const cost = this.#costOf(entry)
    if (cost.cpuSeconds === undefined) cost.others++
    else this.#metrics.packCpuSparedSeconds.inc(cost.cpuSeconds)
  }

  /** Records what the run of Git has cost that made an entry. */
  spent(entry: Entry, cpuSeconds: number): void {
    const cost = this.#costOf(entry)
    cost.cpuSeconds = cpuSeconds
    this.#metrics.packCpuSeconds.inc(cpuSeconds)
    this.#metrics.packCpuSparedSeconds.inc(cpuSeconds * cost.others)
    cost.others = 0
  }

  #costOf(entry: Entry): Cost {
    const known = this.#costs.get(entry)
    if (known) return known
    const cost: Cost = { cpuSeconds: undefined, others: 0 }
    this.#costs.set(entry, cost)
    return cost
  }
}
