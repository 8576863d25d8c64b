/** An event of Git's own trace, as far as it becomes a part of a span (Documentation/technical/api-trace2 in Git). */
export interface Trace2Event {
  readonly event: string
  /** Names the process: the names of its ancestors and its own, separated by slashes. */
  readonly sid: string
  readonly thread: string
  /** Seconds since 1970, and nanoseconds. */
  readonly time: readonly [number, number]
  readonly fields: Readonly<Record<string, unknown>>
}

const timeForm = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{1,9})Z$/

/** Returns the events in the lines of a trace file; lines that are none are left out, and the last one if it was cut. */
export function* trace2Events(text: string): Generator<Trace2Event> {
  for (const line of text.split('\n')) {
    const fields = objectIn(line)
    const { event, sid, thread, time } = fields ?? {}
    if (fields === undefined || typeof event !== 'string' || typeof sid !== 'string') continue
    const at = typeof time === 'string' ? timeOf(time) : undefined
    if (!at) continue
    yield { event, sid, thread: typeof thread === 'string' ? thread : '', time: at, fields }
  }
}

function objectIn(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function timeOf(text: string): [number, number] | undefined {
  const [, seconds, fraction] = timeForm.exec(text) ?? []
  if (seconds === undefined || fraction === undefined) return undefined
  const ms = Date.parse(`${seconds}Z`)
  return Number.isNaN(ms) ? undefined : [ms / 1000, Number(fraction.padEnd(9, '0'))]
}
