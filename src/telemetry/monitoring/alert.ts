/** An alerting rule, and what its section of the runbook says. */
export interface Alert {
  /** PromQL for what is watched. */
  readonly value: string
  /** The comparison by which a value is bad, such as `> 0`. */
  readonly condition: string
  /** How long that must have been so. */
  readonly for: string
  /** `page`: users notice, or soon will. `ticket`: it can wait until somebody is at work. */
  readonly severity: 'page' | 'ticket'
  readonly summary: string
  /** What users notice. */
  readonly description: string
  /** What the alert means. */
  readonly meaning: string
  readonly look: readonly string[]
  readonly act: readonly string[]
}

/** Returns PromQL for the series that are bad. */
export const exprOf = ({ value, condition }: Pick<Alert, 'value' | 'condition'>): string =>
  `${value}${value.includes('\n') ? '\n' : ' '}${condition}`
