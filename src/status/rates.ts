import type { Status } from './model.js'

/** Outcomes of requests that no fill of their own was needed for. */
const shared: ReadonlySet<string> = new Set(['hit', 'joined', 'gathered', 'revalidated'])

export interface Rates {
  /** Requests that have ended, a second. */
  readonly requests: number
  /** Body bytes a second. */
  readonly bytes: number
  /** The share of answered requests that no fill of their own was needed for; undefined: none was answered. */
  readonly hitRatio: number | undefined
}

/** What rates are made from. */
export type Counted = Pick<Status, 'at'> & {
  readonly requests: Pick<Status['requests'], 'byOutcome' | 'sentBytes'>
}

/** Returns what has happened between two statuses. */
export function ratesBetween(before: Counted, now: Counted): Rates {
  const seconds = (Date.parse(now.at) - Date.parse(before.at)) / 1000
  const perSecond = (count: number): number => (seconds > 0 ? Math.max(0, count) / seconds : 0)
  let [all, answered, without] = [0, 0, 0]
  for (const [outcome, count] of Object.entries(now.requests.byOutcome)) {
    // A worker that was started again counts from zero.
    const more = Math.max(0, count - (before.requests.byOutcome[outcome] ?? 0))
    all += more
    if (shared.has(outcome)) without += more
    if (shared.has(outcome) || outcome === 'filled') answered += more
  }
  return {
    requests: perSecond(all),
    bytes: perSecond(now.requests.sentBytes - before.requests.sentBytes),
    hitRatio: answered > 0 ? without / answered : undefined,
  }
}
