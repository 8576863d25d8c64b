import { hostname } from 'node:os'
import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino'
import type { LogOutput } from './log-output.js'

export type Log = Logger

/** How the lines of a log are written. */
export interface LogFormat {
  /** `unix`, by default: milliseconds since 1970. */
  readonly time?: 'unix' | 'iso'
  /** Is the level written by its name? By default by its number. */
  readonly levelNames?: boolean
}

/** Returns the form of the lines that settings ask for. */
export const logFormat = (settings: {
  readonly logTime: 'unix' | 'iso'
  readonly logLevelNames: boolean
}): LogFormat => ({ time: settings.logTime, levelNames: settings.logLevelNames })

/** Returns a log of JSON lines, by default on standard output. */
export const createLog = (
  level: string,
  destination?: DestinationStream,
  bindings?: object,
  { time, levelNames }: LogFormat = {},
): Log => {
  const options = {
    level,
    ...(time === 'iso' && { timestamp: stdTimeFunctions.isoTime }),
    ...(levelNames && { formatters: { level: (name: string) => ({ level: name }) } }),
    ...(bindings && { base: { pid: process.pid, hostname: hostname(), ...bindings } }),
  }
  return destination ? pino(options, destination) : pino(options)
}

const outputs = new WeakMap<Log, LogOutput>()

/**
 * Returns a log for an output that may fail: JSON lines, or what `pretty` makes of each. When writing works again after
 * lines were dropped, one line says how many.
 * @param bindings fields of every line
 * @param format form of times and levels
 */
export function logTo(
  output: LogOutput,
  level: string,
  pretty?: (line: string) => string,
  bindings?: object,
  format?: LogFormat,
): Log {
  const write = (line: string): void => output.write(pretty ? pretty(line) : line)
  const log = createLog(level, { write }, bindings, format)
  output.onRecovered((lines) =>
    log.warn({ lines }, 'log lines were dropped because they could not be written'),
  )
  outputs.set(log, output)
  return log
}

/** Returns the number of lines that a log has dropped so far. */
export const droppedLines = (log: Log): number => outputs.get(log)?.dropped ?? 0

/** Returns a function that formats a JSON line as coloured text for a terminal. */
export async function prettyLines(): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty')
  return prettyFactory({ ignore: 'pid,hostname' })
}

/**
 * Returns a rate-limited form of a call: within so many milliseconds after a call, further ones do nothing. For log lines
 * about failures: one when something begins to fail, not one for each request.
 */
export function atMostEvery<Args extends readonly unknown[]>(
  ms: number,
  call: (...args: Args) => void,
  now = () => performance.now(),
): (...args: Args) => void {
  let quietUntil = -Infinity
  return (...args) => {
    const at = now()
    if (at < quietUntil) return
    quietUntil = at + ms
    call(...args)
  }
}
