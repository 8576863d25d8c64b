/** A line of what `refstream doctor` tells. */
export interface Finding {
  readonly line: string
  /** Does it need mending? Then the exit code is 1. */
  readonly wrong: boolean
}

export const fine = (line: string): Finding => ({ line, wrong: false })
export const wrong = (line: string): Finding => ({ line, wrong: true })
