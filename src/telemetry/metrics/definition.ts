/**
 * What a metric is. The registry, the text of a scrape and docs/metrics.md are all derived from these definitions.
 * Names follow Prometheus' conventions: base units in the name, `_total` at the end of a counter. No label holds the name
 * of a repository, a user or a client: their number has no bound.
 */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly name: string
  /** One line, for scrapes. */
  readonly help: string
  /** How to read the metric, for docs/metrics.md. */
  readonly details?: string
  /** How the values of workers become one; `sum` if left out. `first`: the primary has it. */
  readonly ofWorkers?: 'sum' | 'first' | 'min' | 'max'
  /** Each label with the meaning of its values, or with one sentence for all of them. */
  readonly labels?: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

export type Definitions = Readonly<Record<string, MetricDefinition>>

/** The names of a definition's labels, as a type. */
export type LabelsOf<D extends MetricDefinition> = D extends { readonly labels: infer L }
  ? keyof L & string
  : never
