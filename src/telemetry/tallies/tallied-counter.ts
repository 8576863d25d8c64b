import { SeriesOf, type Labels } from './series.js'
import { Tallied, type Sample, type TalliedOptions } from './tallied.js'

/** A counter; see `Tallied`. */
export class TalliedCounter<L extends string> extends Tallied<L> {
  readonly type = 'counter'
  readonly #sums: SeriesOf<L, { sum: number }>

  constructor(options: TalliedOptions<L>) {
    super(options)
    this.#sums = new SeriesOf(options.labelNames, () => ({ sum: 0 }))
  }

  /** Adds to a series; with 0, makes it exist. */
  inc(labels: Labels<L>, value = 1): void {
    this.#sums.of(labels).sum += value
  }

  protected samples(): Sample[] {
    return this.#sums.all.map(({ labels, value: { sum } }) => ({ labels, value: sum }))
  }
}
