/** A line of the report of `refstream doctor`: what was found and, unless all is well, what to do. */
export interface Finding {
  readonly line: string
  /** Needs a repair now; sets the exit code 1. */
  readonly wrong: boolean
  /** Will need a repair, or may be intended; the exit code stays 0. */
  readonly isWarning?: true
}

export const fine = (line: string): Finding => ({ line, wrong: false })
export const warning = (line: string): Finding => ({ line, wrong: false, isWarning: true })
export const wrong = (line: string): Finding => ({ line, wrong: true })

/** Returns the line as it is printed: what needs attention begins with a word to search for. */
export function printed({ line, wrong, isWarning }: Finding): string {
  if (wrong) return `problem: ${line}`
  return isWarning ? `warning: ${line}` : line
}
