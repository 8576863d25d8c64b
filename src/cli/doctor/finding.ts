/** A line of the report of `refstream doctor`. */
export interface Finding {
  readonly line: string
  /** Needs a repair; sets the exit code 1. */
  readonly wrong: boolean
}

export const fine = (line: string): Finding => ({ line, wrong: false })
export const wrong = (line: string): Finding => ({ line, wrong: true })
