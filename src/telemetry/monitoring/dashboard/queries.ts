import type { LabelsOf, MetricDefinition } from '../../metrics/definition.js'
import { selectShown, type Matchers, type TargetLabels } from '../expression.js'
import type { Query } from './panel.js'

/** What Grafana puts in place of this: at least four scrapes. */
export const window = '$__rate_interval'

/** Labels by which series are summed. */
type By<D extends MetricDefinition> = readonly (LabelsOf<D> | TargetLabels)[]

/** What stands before the values of the labels in the names of the series. */
interface Named<D extends MetricDefinition> {
  readonly name?: string
  readonly where?: Matchers<D>
}

const legendOf = (name: string | undefined, labels: readonly string[]): string =>
  [...(name === undefined ? [] : [name]), ...labels.map((label) => `{{${label}}}`)].join(' ')

/** Asks for the increase of a counter per second. */
export const rates = <const D extends MetricDefinition>(
  definition: D,
  by: By<D> = [],
  { name, where }: Named<D> = {},
): Query => ({
  expr: selectShown(definition, where).rateBy(window, ...by),
  legend: legendOf(name, by),
})

/** Asks for the value of a gauge. */
export const values = <const D extends MetricDefinition>(
  definition: D,
  by: By<D> = [],
  { name, where }: Named<D> = {},
): Query => ({ expr: selectShown(definition, where).sumBy(...by), legend: legendOf(name, by) })

/** Asks for the median, and for what 90 and 99 percent of the values of a histogram are below. */
export const quantiles = <const D extends MetricDefinition>(
  definition: D,
  by: By<D> = [],
  { where }: Pick<Named<D>, 'where'> = {},
): Query[] =>
  [0.5, 0.9, 0.99].map((quantile) => ({
    expr: selectShown(definition, where).quantile(quantile, window, ...by),
    legend: legendOf(`p${quantile * 100}`, by),
  }))
