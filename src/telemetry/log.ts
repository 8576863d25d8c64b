import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'

export type Log = Logger

/** JSON lines on standard output, or coloured text if that is a terminal. */
export function createLog(level: string, destination?: DestinationStream): Log {
  const output = destination ?? (process.stdout.isTTY ? pretty({ ignore: 'pid,hostname' }) : undefined)
  return output ? pino({ level }, output) : pino({ level })
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
