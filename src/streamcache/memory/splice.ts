/** Bytes that stand in place of a range of the version before. */
export interface Splice {
  /** The range, in bytes of the version before. */
  readonly start: number
  readonly end: number
  readonly bytes: readonly Buffer[]
}
