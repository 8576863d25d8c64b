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
  /**
   * Does every series exist from the first scrape, at 0? For counters that alerts are about, whose label values are all
   * listed: Prometheus sees no increase in a series that begins above 0.
   */
  readonly fromZero?: true
  /** How the values of workers become one; `sum` if left out. `first`: the primary has it. */
  readonly ofWorkers?: 'sum' | 'first' | 'min' | 'max'
  /** Each label with the meaning of its values, or with one sentence for all of them. */
  readonly labels?: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

export type Definitions = Readonly<Record<string, MetricDefinition>>

/**
 * Returns the labels of every series of a definition.
 * @param given values of labels, for those whose values are not listed
 */
export function everySeries(
  { labels = {} }: MetricDefinition,
  given: Readonly<Record<string, string>> = {},
): Record<string, string>[] {
  let all: Record<string, string>[] = [given]
  for (const [label, values] of Object.entries(labels)) {
    if (label in given) continue
    if (typeof values === 'string') throw new Error(`the values of the label ${label} are not listed`)
    all = all.flatMap((each) => Object.keys(values).map((value) => ({ ...each, [label]: value })))
  }
  return all
}

/** The names of a definition's labels, as a type. */
export type LabelsOf<D extends MetricDefinition> = D extends { readonly labels: infer L }
  ? keyof L & string
  : never
