import { fine, warning, type Finding } from './finding.js'

/** What another clock has shown. Times are milliseconds since 1970. */
export interface ClockReading {
  /** Whose clock it is. */
  readonly of: string
  /** The earliest and the latest time that it may have meant. */
  readonly from: number
  readonly to: number
  /** Between these times of this machine. */
  readonly since: number
  readonly until: number
}

/** Longest difference in milliseconds that is no fault. */
const toleranceMs = 10_000

/** Returns the reading of a `Date` header, which has whole seconds (RFC 9110, section 5.6.7); undefined: it is none. */
export function readDate(
  of: string,
  date: string | undefined,
  since: number,
  until = Date.now(),
): ClockReading | undefined {
  const from = date === undefined ? NaN : Date.parse(date)
  return Number.isNaN(from) ? undefined : { of, from, to: from + 1000, since, until }
}

/** Compares this machine's clock with others: a warning for each that differs by more than 10 seconds, or one line. */
export function checkClock(readings: readonly (ClockReading | undefined)[]): Finding[] {
  const all = readings.filter((reading) => reading !== undefined)
  const off = all.flatMap((reading) => {
    const aheadMs = reading.since - reading.to
    const behindMs = reading.from - reading.until
    const ms = Math.max(aheadMs, behindMs)
    if (ms <= toleranceMs) return []
    return [
      warning(
        `clock: this machine's is ${Math.round(ms / 1000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} that of ${reading.of}: ` +
          'certificates may count as expired or not yet valid, and log lines cannot be compared; set both by NTP (timedatectl status)',
      ),
    ]
  })
  if (off.length > 0 || all.length === 0) return off
  return [fine(`clock: within ${toleranceMs / 1000} s of that of ${all.map(({ of }) => of).join(', ')}`)]
}
