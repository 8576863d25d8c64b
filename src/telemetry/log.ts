import { pino, type DestinationStream, type Logger } from 'pino'

export type Log = Logger

/** JSON lines, on standard output if no other destination is given. */
export const createLog = (level: string, destination?: DestinationStream): Log =>
  destination ? pino({ level }, destination) : pino({ level })

/** Coloured text on standard output, for people. */
export async function prettyOutput(): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty')
  return pretty({ ignore: 'pid,hostname' })
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
