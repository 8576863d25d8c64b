/**
 * Returns the wait in milliseconds that a Retry-After header asks for (RFC 9110, section 10.2.3: seconds, or a date);
 * undefined: there is none that can be understood.
 * @param nowMs the time, in milliseconds since 1970
 */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  const text = value.trim()
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  // A date begins with the name of a day in all three formats, of which one (asctime) does not name the zone.
  const date = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(/GMT$/.test(text) ? text : `${text} GMT`) : NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs)
}
