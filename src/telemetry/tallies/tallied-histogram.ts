import { SeriesOf, type Labels } from './series.js'
import { Tallied, type Sample, type TalliedOptions } from './tallied.js'

export interface TalliedHistogramOptions<L extends string> extends TalliedOptions<L> {
  /** Upper bounds, from the smallest to the largest. */
  readonly buckets: readonly number[]
}

/** How often a value was observed in each bucket; the last one is for what is above all bounds. */
interface Observed {
  readonly counts: number[]
  sum: number
}

/** A histogram; see `Tallied`. */
export class TalliedHistogram<L extends string> extends Tallied<L> {
  readonly type = 'histogram'
  readonly #bounds: readonly number[]
  readonly #observed: SeriesOf<L, Observed>

  constructor(options: TalliedHistogramOptions<L>) {
    super(options)
    this.#bounds = options.buckets
    const count = options.buckets.length + 1
    this.#observed = new SeriesOf(options.labelNames, () => ({
      counts: Array<number>(count).fill(0),
      sum: 0,
    }))
  }

  observe(labels: Labels<L>, value: number): void {
    const observed = this.#observed.of(labels)
    const bounds = this.#bounds
    let bucket = 0
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++
    observed.counts[bucket]!++
    observed.sum += value
  }

  /** Each bucket has all that is in the smaller ones too (Prometheus' text format). */
  protected samples(): Sample[] {
    return this.#observed.all.flatMap(({ labels, value: { counts, sum } }) => {
      let below = 0
      const buckets = [...this.#bounds, '+Inf'].map((le, bucket) => {
        below += counts[bucket]!
        return { labels: { le, ...labels }, value: below, metricName: `${this.name}_bucket` }
      })
      return [
        ...buckets,
        { labels, value: sum, metricName: `${this.name}_sum` },
        { labels, value: below, metricName: `${this.name}_count` },
      ]
    })
  }
}
