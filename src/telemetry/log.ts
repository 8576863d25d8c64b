import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'

export type Log = Logger

/** JSON lines on standard output, or coloured text if that is a terminal. */
export function createLog(level: string, destination?: DestinationStream): Log {
  const output = destination ?? (process.stdout.isTTY ? pretty({ ignore: 'pid,hostname' }) : undefined)
  return output ? pino({ level }, output) : pino({ level })
}
