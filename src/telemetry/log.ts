import { pino, type DestinationStream, type Logger } from 'pino'
import type { LogOutput } from './log-output.js'

export type Log = Logger

/** JSON lines, on standard output if no other destination is given. */
export const createLog = (level: string, destination?: DestinationStream): Log =>
  destination ? pino({ level }, destination) : pino({ level })

const outputs = new WeakMap<Log, LogOutput>()

/**
 * Logs to an output that may fail: JSON lines, or what `pretty` makes of each. When lines are written again after some
 * were dropped, a line tells how many.
 */
export function logTo(output: LogOutput, level: string, pretty?: (line: string) => string): Log {
  const write = (line: string): void => output.write(pretty ? pretty(line) : line)
  const log = createLog(level, { write })
  output.onRecovered((lines) => log.warn({ lines }, 'log lines were dropped, for they could not be written'))
  outputs.set(log, output)
  return log
}

/** Returns how many lines of a log were dropped so far. */
export const droppedLines = (log: Log): number => outputs.get(log)?.dropped ?? 0

/** Returns what makes coloured text of a line, for people. */
export async function prettyLines(): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty')
  return prettyFactory({ ignore: 'pid,hostname' })
}

/**
 * The same call, which does nothing for this many milliseconds after it was made: one line when something begins to
 * fail, not one for each request.
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
