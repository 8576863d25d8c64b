/** An alerting rule, and what its section of the runbook says. */
export interface Alert {
  readonly expr: string
  /** How long the expression must have been true. */
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
