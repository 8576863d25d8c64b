/** Units of Grafana. */
export type Unit = 'short' | 'reqps' | 'ops' | 'Bps' | 'bytes' | 's' | 'percentunit' | 'none'

/** What a panel asks Prometheus. */
export interface Query {
  readonly expr: string
  /** The name of each series, with `{{label}}` for the value of a label. */
  readonly legend: string
}

/** One graph, or one value for each series. */
export interface Panel {
  readonly title: string
  /** What it shows, and what to look for. */
  readonly description: string
  readonly unit: Unit
  readonly queries: readonly Query[]
  /** `stat`: the last value of each series, large. `name`: the name of each series. `graph` if left out. */
  readonly as?: 'graph' | 'stat' | 'name'
  /** The values of a `stat` that are good, and those that are not; left out: values have no colour. */
  readonly thresholds?: Thresholds
  /** What a `stat` shows instead of some values. */
  readonly texts?: Readonly<Record<number, string>>
}

/** Below `from` a value is bad and from there on it is good, or the other way round. */
export interface Thresholds {
  readonly from: number
  readonly good: 'below' | 'above'
}

export interface Row {
  readonly title: string
  /** Does only a part of all installations have this? Then the row is collapsed at first. */
  readonly isOptional?: true
  readonly panels: readonly Panel[]
}
