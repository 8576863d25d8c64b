import type { Aggregator, Metric, Registry } from 'prom-client'

/** What a registry must know of a metric. */
export interface TalliedOptions<L extends string> {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly L[]
  readonly aggregator: Aggregator
  readonly registers: readonly Registry[]
}

/** One line of a scrape. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  /** Left out: that of the metric. */
  readonly metricName?: string
}

/** A metric as registries read it, for scrapes and for the sum over workers. */
export interface Values extends Pick<TalliedOptions<string>, 'name' | 'help' | 'aggregator'> {
  readonly type: string
  readonly values: readonly Sample[]
}

/**
 * A metric that is counted here, and handed to the registry when that is scraped: for what each cache hit counts.
 * `SeriesOf` tells why.
 */
export abstract class Tallied<L extends string> {
  readonly name: string
  readonly help: string
  readonly aggregator: Aggregator
  abstract readonly type: 'counter' | 'histogram'

  constructor({ name, help, aggregator, registers }: TalliedOptions<L>) {
    this.name = name
    this.help = help
    this.aggregator = aggregator
    // All that a registry calls is get().
    for (const registry of registers) registry.registerMetric(this as unknown as Metric<L>)
  }

  /** Resolves with the values now. */
  get(): Promise<Values> {
    const { name, help, type, aggregator } = this
    return Promise.resolve({ name, help, type, aggregator, values: this.samples() })
  }

  protected abstract samples(): Sample[]
}
