/** The state in which a fill began, and when, in milliseconds of performance.now(). */
export interface FillOrigin {
  readonly generation: number
  readonly openings: number
  readonly atMs: number
  /** As in `FillRequest`, while the fill runs. */
  readonly ageMs?: (() => number) | undefined
}

/** The origin of entries that an earlier process made. */
export const beforeThisProcess: FillOrigin = { generation: 0, openings: 0, atMs: -Infinity }

/** Returns the milliseconds since the fill began, and what its bytes were old then. */
export const ageMsOf = ({ atMs, ageMs }: FillOrigin): number => performance.now() - atMs + (ageMs?.() ?? 0)
