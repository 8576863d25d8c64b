import type { LabelsOf, MetricDefinition } from '../metrics/definition.js'

/** The values of a label: those that the catalogue lists, or any where it does not. */
type ValuesOf<D extends MetricDefinition, L extends string> = D extends {
  readonly labels: Readonly<Record<L, infer V>>
}
  ? V extends string
    ? string
    : keyof V & string
  : never

/** What labels must be: one value, or one of several. */
export type Matchers<D extends MetricDefinition> = {
  readonly [L in LabelsOf<D>]?: ValuesOf<D, L> | readonly ValuesOf<D, L>[]
}

/** Labels that Prometheus adds to every series that it scrapes. */
export type TargetLabels = 'job' | 'instance' | 'worker'

/**
 * A selector of a metric of the catalogue, for PromQL: the compiler refuses labels, and values of labels, that the metric
 * does not have.
 */
export class Selector<D extends MetricDefinition> {
  readonly #definition: D
  readonly #matchers: readonly string[]

  constructor(definition: D, matchers: Matchers<D> = {}, scope: readonly string[] = []) {
    const own = Object.entries(matchers) as [string, string | readonly string[]][]
    this.#definition = definition
    this.#matchers = [
      ...scope,
      ...own.map(([label, value]) =>
        typeof value === 'string' ? `${label}="${value}"` : `${label}=~"${value.join('|')}"`,
      ),
    ]
  }

  /** Returns PromQL for the series as they are. */
  get text(): string {
    return this.#named('')
  }

  /** Returns PromQL for the increase per second. */
  rate(window: string): string {
    return `rate(${this.text}[${window}])`
  }

  /** Returns PromQL for the increase over a time. */
  increase(window: string): string {
    return `increase(${this.text}[${window}])`
  }

  /** Returns PromQL for the increase per second, summed by labels. */
  rateBy(window: string, ...labels: (LabelsOf<D> | TargetLabels)[]): string {
    return sumBy(labels, this.rate(window))
  }

  /** Returns PromQL for the increase over a time, summed by labels. */
  increaseBy(window: string, ...labels: (LabelsOf<D> | TargetLabels)[]): string {
    return sumBy(labels, this.increase(window))
  }

  /** Returns PromQL for a sum by labels. */
  sumBy(...labels: (LabelsOf<D> | TargetLabels)[]): string {
    return sumBy(labels, this.text)
  }

  /** Returns PromQL for a quantile of a histogram. */
  quantile(quantile: number, window: string, ...labels: (LabelsOf<D> | TargetLabels)[]): string {
    const buckets = `rate(${this.#named('_bucket')}[${window}])`
    return `histogram_quantile(${quantile}, ${sumBy(['le', ...labels], buckets)})`
  }

  #named(suffix: string): string {
    const matchers = this.#matchers.length > 0 ? `{${this.#matchers.join(',')}}` : ''
    return `${this.#definition.name}${suffix}${matchers}`
  }
}

const sumBy = (labels: readonly string[], text: string): string =>
  labels.length > 0 ? `sum by (${labels.join(', ')}) (${text})` : `sum(${text})`

/** Makes a selector. */
export type Select = <const D extends MetricDefinition>(definition: D, matchers?: Matchers<D>) => Selector<D>

/** Selects series of a metric, for rules. */
export const select: Select = (definition, matchers) => new Selector(definition, matchers)

/** Matchers for the instances that are chosen on the dashboard. */
export const shown = ['job=~"$job"', 'instance=~"$instance"'] as const

/** Selects series of a metric of the instances that are chosen on the dashboard. */
export const selectShown: Select = (definition, matchers) => new Selector(definition, matchers, shown)
